//! Whatever asks for figures, the answer is found within bounds, stays what it is when more comes, and names do no harm in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::metrics::{Exposition, Kind, LONGEST_HEAD, Request, Status, Value, parse};

fuzz_target!(|input: (Vec<u8>, String)| {
    let (bytes, label) = input;
    let mut answer = None;
    for len in 0..=bytes.len() {
        let request = parse(&bytes[..len]);
        assert!(request != Request::More || len < LONGEST_HEAD);
        if answer.is_none() && request != Request::More {
            answer = Some(request);
        }
    }
    if let Some(Request::Answer(status, _)) = answer {
        assert!(status.head(status.content().len()).ends_with("\r\n\r\n"));
        assert_eq!(status == Status::Ok, status.content().is_empty());
    }
    let mut text = String::new();
    let mut exposition = Exposition::new(&mut text);
    let mut family = exposition.family("roost_figure", Kind::Gauge, "A figure.").unwrap();
    family.sample(&[("name", &label)], Value::Count(1)).unwrap();
    assert_eq!(text.matches('\n').count(), 3);
    let sample = text.lines().last().unwrap();
    assert!(sample.starts_with("roost_figure{name=\"") && sample.ends_with("\"} 1"));
});
