mod commands;
mod ends;
mod lives;
mod loading;
mod pausing;
