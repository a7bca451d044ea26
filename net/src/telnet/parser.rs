//! Received bytes become tokens. It knows the syntax of RFC 854 and 855, and nothing of what options mean.

use super::code::{Command, IAC, Verb};

/// Contents of a subnegotiation that are kept: what [`WindowSize`](super::code::Choice::WindowSize) needs, and one byte
/// by which more is told from that.
const KEPT: usize = 5;
/// Contents after which a subnegotiation will not end any more. The longest that clients send unasked are of some hundred
/// bytes (environments).
const LONGEST: usize = 1024;

/// A subnegotiation: the option and its contents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Subnegotiation {
    /// The option's number.
    pub(super) option: u8,
    kept: [u8; KEPT],
    len: usize,
}

impl Subnegotiation {
    /// The contents, if they are `N` bytes.
    pub(super) fn contents<const N: usize>(&self) -> Option<[u8; N]> {
        self.kept.get(..self.len)?.try_into().ok()
    }
}

/// What the bytes say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token {
    /// A byte that was typed, or 255 that was sent twice.
    Data(u8),
    /// A command without an option.
    Command(Command),
    /// What is said of an option, and its number.
    Negotiation(Verb, u8),
    /// Contents for an option.
    Subnegotiation(Subnegotiation),
    /// A command that means nothing here.
    Ignored,
    /// A subnegotiation is too long, or is broken off by another command. Nothing more is read.
    Endless,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Data,
    Command,
    Option(Verb),
    SubnegotiationOption,
    Subnegotiation(Subnegotiation),
    /// Within a subnegotiation, after 255.
    SubnegotiationCommand(Subnegotiation),
    Dead,
}

/// The state between two bytes.
#[derive(Debug)]
pub(super) struct Parser(State);

impl Parser {
    pub(super) fn new() -> Self {
        Self(State::Data)
    }

    /// What `byte` completes, if it completes something.
    pub(super) fn feed(&mut self, byte: u8) -> Option<Token> {
        let (next, token) = step(self.0, byte);
        self.0 = next;
        token
    }
}

fn step(state: State, byte: u8) -> (State, Option<Token>) {
    match state {
        State::Data if byte == IAC => (State::Command, None),
        State::Data => (State::Data, Some(Token::Data(byte))),
        State::Command if byte == IAC => (State::Data, Some(Token::Data(IAC))),
        State::Command => command(byte),
        State::Option(verb) => (State::Data, Some(Token::Negotiation(verb, byte))),
        State::SubnegotiationOption if byte == IAC => endless(),
        State::SubnegotiationOption => {
            (State::Subnegotiation(Subnegotiation { option: byte, kept: [0; KEPT], len: 0 }), None)
        }
        State::Subnegotiation(contents) if byte == IAC => {
            (State::SubnegotiationCommand(contents), None)
        }
        State::Subnegotiation(contents) => more(contents, byte),
        State::SubnegotiationCommand(contents) => match Command::from_byte(byte) {
            _ if byte == IAC => more(contents, byte),
            Some(Command::SubnegotiationEnd) => {
                (State::Data, Some(Token::Subnegotiation(contents)))
            }
            // Nothing else may come within (RFC 855): where it would end is anyone's guess.
            _ => endless(),
        },
        State::Dead => (State::Dead, None),
    }
}

fn command(byte: u8) -> (State, Option<Token>) {
    if let Some(verb) = Verb::from_byte(byte) {
        return (State::Option(verb), None);
    }
    match Command::from_byte(byte) {
        Some(Command::Subnegotiation) => (State::SubnegotiationOption, None),
        // An end without a beginning.
        Some(Command::SubnegotiationEnd) | None => (State::Data, Some(Token::Ignored)),
        Some(
            command @ (Command::Break
            | Command::Interrupt
            | Command::AbortOutput
            | Command::AreYouThere
            | Command::EraseCharacter
            | Command::EraseLine),
        ) => (State::Data, Some(Token::Command(command))),
    }
}

fn more(mut contents: Subnegotiation, byte: u8) -> (State, Option<Token>) {
    if contents.len == LONGEST {
        return endless();
    }
    if let Some(place) = contents.kept.get_mut(contents.len) {
        *place = byte;
    }
    contents.len += 1;
    (State::Subnegotiation(contents), None)
}

fn endless() -> (State, Option<Token>) {
    (State::Dead, Some(Token::Endless))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Vec<Token> {
        let mut parser = Parser::new();
        bytes.iter().filter_map(|byte| parser.feed(*byte)).collect()
    }

    #[test]
    fn data_and_escaped_data_are_data() {
        assert_eq!(
            parse(&[b'a', 255, 255, 0]),
            [Token::Data(b'a'), Token::Data(255), Token::Data(0)]
        );
    }

    #[test]
    fn every_command_is_told_apart() {
        let tokens = parse(&[255, 243, 255, 244, 255, 245, 255, 246, 255, 247, 255, 248]);
        let commands = [
            Command::Break,
            Command::Interrupt,
            Command::AbortOutput,
            Command::AreYouThere,
            Command::EraseCharacter,
            Command::EraseLine,
        ];
        assert_eq!(tokens, commands.map(Token::Command));
    }

    #[test]
    fn what_means_nothing_takes_two_bytes_and_no_more() {
        for byte in (0..=242).chain([249]) {
            assert_eq!(parse(&[255, byte, b'x']), [Token::Ignored, Token::Data(b'x')], "{byte}");
        }
    }

    #[test]
    fn a_subnegotiation_keeps_an_escaped_255() {
        let tokens = parse(&[255, 250, 31, 0, 255, 255, 0, 24, 255, 240, b'x']);
        let Token::Subnegotiation(contents) = tokens[0] else { panic!("{tokens:?}") };
        assert_eq!((contents.option, contents.contents()), (31, Some([0u8, 255, 0, 24])));
        assert_eq!(tokens[1..], [Token::Data(b'x')]);
    }

    #[test]
    fn contents_of_another_length_are_not_taken_for_it() {
        for len in [0, 3, 5, 6, 100, LONGEST] {
            let bytes: Vec<u8> =
                [255, 250, 31].into_iter().chain(vec![1; len]).chain([255, 240]).collect();
            let tokens = parse(&bytes);
            let Token::Subnegotiation(contents) = tokens[0] else { panic!("{tokens:?}") };
            assert_eq!(contents.contents::<4>(), None, "{len}");
        }
    }

    #[test]
    fn a_subnegotiation_without_end_is_told_once_and_the_rest_is_not_read() {
        let bytes: Vec<u8> = [255, 250, 24].into_iter().chain(vec![b'x'; 1 << 20]).collect();
        assert_eq!(parse(&bytes), [Token::Endless]);
    }

    #[test]
    fn a_subnegotiation_that_another_command_breaks_off_is_endless() {
        assert_eq!(parse(&[255, 250, 24, 255, 251, 1, b'x']), [Token::Endless]);
        assert_eq!(parse(&[255, 250, 255, 240, b'x']), [Token::Endless]);
    }
}
