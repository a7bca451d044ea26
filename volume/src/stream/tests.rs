use super::*;
use crate::Run;
use crate::map::MapBuilder;
use crate::testing::content;
use std::vec;
use virtio::disk::{Access, Cache, Geometry};

/// A disk that answers when it is told to.
struct Slow {
    bytes: Vec<u8>,
    block_bytes: u32,
    state: Mutex<SlowState>,
}

#[derive(Default)]
struct SlowState {
    completer: Option<Weak<dyn Completer>>,
    queue: Vec<Request>,
    cancelled: bool,
}

impl Disk for Slow {
    fn geometry(&self) -> Geometry {
        Geometry {
            sectors: self.bytes.len() as u64 / SECTOR_BYTES,
            block_bytes: self.block_bytes,
            physical_exponent: 0,
            minimum_blocks: 0,
            optimal_blocks: 0,
            access: Access::ReadOnly,
            cache: Cache::WriteThrough,
            discard: None,
            write_zeroes: None,
        }
    }

    fn connect(&self, completer: Weak<dyn Completer>) {
        self.state.lock().completer = Some(completer);
    }

    fn submit(&self, request: Request) -> Submitted {
        let Request { id, operation } = request;
        if let Err(error) = self.geometry().check(&operation) {
            return Submitted::Done(Completed::new(id, Err(error), operation));
        }
        self.state.lock().queue.push(Request { id, operation });
        Submitted::Later
    }

    fn cancel(&self) {
        self.state.lock().cancelled = true;
    }
}

impl Slow {
    fn new(bytes: Vec<u8>, block_bytes: u32) -> Arc<Self> {
        Arc::new(Self { bytes, block_bytes, state: Mutex::new(SlowState::default()) })
    }

    /// Ends all that it has; returns how many requests that were.
    fn answer(&self, result: Result<(), DiskError>) -> usize {
        let queue = core::mem::take(&mut self.state.lock().queue);
        let count = queue.len();
        let mut news = Vec::new();
        for Request { id, operation } in queue.into_iter().rev() {
            let Operation::Read { sector, mut buffer } = operation else { panic!("a read") };
            let start = (sector * SECTOR_BYTES) as usize;
            let length = buffer.len();
            buffer.copy_from_slice(&self.bytes[start..start + length]);
            news.push(News::Ended(Completed { id, result, buffer: Some(buffer) }));
        }
        let completer = self.state.lock().completer.clone().and_then(|weak| weak.upgrade());
        completer.unwrap().hear(news);
        count
    }
}

/// A file of these runs: (bytes, where).
fn map(runs: &[(u64, Option<u64>)], limit: u64) -> Arc<FileMap> {
    let mut builder = MapBuilder::new(runs.iter().map(|run| run.0).sum(), limit);
    for (bytes, at) in runs {
        builder.push(*at, *bytes).unwrap();
    }
    Arc::new(builder.finish().unwrap())
}

/// Reads all of a file in steps of `step` bytes.
fn read_all(stream: &Stream, disk: &Slow, step: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while (read.len() as u64) < stream.bytes() {
        let mut buf = vec![0; step.min(stream.bytes() as usize - read.len())];
        match stream.read_at(read.len() as u64, &mut buf) {
            Ok(()) => read.extend(buf),
            Err(StreamError::NotYet) => assert!(disk.answer(Ok(())) > 0, "nothing was asked for"),
            Err(error) => panic!("{error}"),
        }
    }
    read
}

#[test]
fn a_file_in_many_parts_with_holes_is_read_whole() {
    let bytes = content(2 << 20, 7);
    // Of 1 KiB blocks on a disk of 4 KiB blocks: hardly a run begins with a block.
    let runs = [
        (300 << 10, Some(5 << 10)),
        (70 << 10, None),
        (1 << 10, Some(1 << 20)),
        (3 << 10, Some(1023 << 10)),
        (1 << 10, Some(0)),
        (64 << 10, Some(900 << 10)),
        (777, Some(1900 << 10)),
    ];
    let map = map(&runs, 2 << 20);
    let mut wanted = Vec::new();
    for Run { bytes: length, at, .. } in map.runs() {
        match at {
            Some(at) => wanted.extend(&bytes[*at as usize..(at + length) as usize]),
            None => wanted.resize(wanted.len() + *length as usize, 0),
        }
    }
    for (block, step) in [(512, 16 << 10), (4096, 5000), (4096, 128 << 10)] {
        let disk = Slow::new(bytes.clone(), block);
        let shared: Arc<dyn Disk> = Arc::<Slow>::clone(&disk);
        let stream = Stream::new(shared, Arc::clone(&map));
        assert!(read_all(&stream, &disk, step) == wanted, "{block}, {step}");
    }
}

#[test]
fn what_follows_is_fetched_ahead_and_memory_is_bounded() {
    let disk = Slow::new(content(4 << 20, 1), 512);
    let shared: Arc<dyn Disk> = Arc::<Slow>::clone(&disk);
    let stream = Stream::new(shared, map(&[(4 << 20, Some(0))], 4 << 20));
    // A header somewhere is that alone; two pieces in a row begin a stream.
    for (piece, requests) in [(10, 1), (0, 1), (1, 5)] {
        assert_eq!(stream.read_at(piece << 16, &mut [0; 512]), Err(StreamError::NotYet));
        assert_eq!(disk.answer(Ok(())), requests, "{piece}");
    }
    for piece in 1..6 {
        assert_eq!(stream.read_at(piece << 16, &mut [0; 512]), Ok(()), "{piece}");
    }
    assert!(read_all(&stream, &disk, 16 << 10) == disk.bytes);
    assert!(stream.state.lock().pieces.len() <= PIECES);
    stream.release();
    assert!(stream.state.lock().pieces.is_empty());
    assert!(read_all(&stream, &disk, 16 << 10) == disk.bytes);
}

#[test]
fn what_comes_after_a_release_is_for_nobody() {
    let disk = Slow::new(content(1 << 20, 1), 512);
    let shared: Arc<dyn Disk> = Arc::<Slow>::clone(&disk);
    let stream = Stream::new(shared, map(&[(1 << 20, Some(0))], 1 << 20));
    assert_eq!(stream.read_at(0, &mut [0; 1]), Err(StreamError::NotYet));
    stream.release();
    assert!(disk.state.lock().cancelled);
    assert_eq!(disk.answer(Ok(())), 1);
    assert!(stream.state.lock().pieces.is_empty());
    assert!(read_all(&stream, &disk, 4096) == disk.bytes);
}

#[test]
fn an_error_is_told_once_and_another_read_tries_again() {
    let disk = Slow::new(content(1 << 20, 3), 512);
    let shared: Arc<dyn Disk> = Arc::<Slow>::clone(&disk);
    let stream = Stream::new(shared, map(&[(200_000, Some(512))], 1 << 20));
    let mut buf = [0; 4];
    assert_eq!(stream.read_at(0, &mut buf), Err(StreamError::NotYet));
    disk.answer(Err(DiskError::Medium));
    assert_eq!(stream.read_at(0, &mut buf), Err(StreamError::Disk(DiskError::Medium)));
    assert_eq!(stream.read_at(0, &mut buf), Err(StreamError::NotYet));
    disk.answer(Ok(()));
    assert_eq!(stream.read_at(0, &mut buf), Ok(()));
    assert_eq!(buf, disk.bytes[512..516]);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let disk = Slow::new(content(1 << 20, 3), 512);
    let stream = Stream::new(disk, map(&[(1 << 20, Some(0))], 1 << 20));
    assert_eq!(stream.read_at(1 << 20, &mut [0]), Err(StreamError::PastEnd));
    assert_eq!(stream.read_at(u64::MAX, &mut [0; 2]), Err(StreamError::PastEnd));
    assert_eq!(stream.read_at(0, &mut vec![0; 300 << 10]), Err(StreamError::TooMany));
    assert_eq!(stream.read_at(1 << 20, &mut []), Ok(()));
}
