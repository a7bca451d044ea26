//! Requests for figures, one on each connection.

use alloc::format;
use alloc::string::String;

/// The longest head of a request.
pub const LONGEST_HEAD: usize = 4096;
/// Fields in a head; a browser sends about fifteen.
const MOST_FIELDS: usize = 32;

/// What the bytes that came so far are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// The beginning of a request.
    More,
    /// A request that is to be answered so.
    Answer(Status, Response),
}

/// The answer (RFC 9110, 15).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// The figures.
    Ok,
    /// It is no request.
    BadRequest,
    /// There is only `/metrics`.
    NotFound,
    /// There are only GET and HEAD.
    MethodNotAllowed,
    /// The head is too long.
    TooLarge,
    /// There are more figures than are told.
    TooMuch,
}

/// Whether the content is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Response {
    /// The head and the content.
    Whole,
    /// The head only: the request was HEAD.
    Head,
}

/// Looks at all that has come on a connection.
#[must_use]
pub fn parse(bytes: &[u8]) -> Request {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let head = bytes.get(..LONGEST_HEAD).unwrap_or(bytes);
    let whole = |status| Request::Answer(status, Response::Whole);
    match request.parse(head) {
        Ok(httparse::Status::Partial) if bytes.len() >= LONGEST_HEAD => whole(Status::TooLarge),
        Ok(httparse::Status::Partial) => Request::More,
        Err(httparse::Error::TooManyHeaders) => whole(Status::TooLarge),
        Err(_) => whole(Status::BadRequest),
        Ok(httparse::Status::Complete(_)) => {
            let path = request.path.unwrap_or("").split('?').next();
            let status = if path == Some("/metrics") { Status::Ok } else { Status::NotFound };
            match request.method {
                Some("GET") => whole(status),
                Some("HEAD") => Request::Answer(status, Response::Head),
                _ => whole(Status::MethodNotAllowed),
            }
        }
    }
}

impl Status {
    /// The head of the answer, before content of `length` bytes.
    #[must_use]
    pub fn head(self, length: usize) -> String {
        let line = match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::TooMuch => "500 Internal Server Error",
        };
        let kind = match self {
            Self::Ok => "text/plain; version=0.0.4; charset=utf-8",
            Self::BadRequest
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::TooMuch => "text/plain; charset=utf-8",
        };
        let allow = if self == Self::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
        format!(
            "HTTP/1.1 {line}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n"
        )
    }

    /// The content of an answer that is not the figures.
    #[must_use]
    pub fn content(self) -> &'static str {
        match self {
            Self::Ok => "",
            Self::BadRequest => "This is no request.\n",
            Self::NotFound => "There is only /metrics.\n",
            Self::MethodNotAllowed => "There are only GET and HEAD.\n",
            Self::TooLarge => "The request is too long.\n",
            Self::TooMuch => "There are too many figures.\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(status: Status) -> Request {
        Request::Answer(status, Response::Whole)
    }

    #[test]
    fn the_requests_of_curl_and_of_prometheus_are_answered() {
        let curl = b"GET /metrics HTTP/1.1\r\nHost: localhost:9100\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";
        assert_eq!(parse(curl), whole(Status::Ok));
        for len in 0..curl.len() {
            assert_eq!(parse(&curl[..len]), Request::More, "{len}");
        }
        let head = b"HEAD /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(parse(head), Request::Answer(Status::Ok, Response::Head));
        assert_eq!(parse(b"GET / HTTP/1.0\r\n\r\n"), whole(Status::NotFound));
        assert_eq!(parse(b"POST /metrics HTTP/1.1\r\n\r\n"), whole(Status::MethodNotAllowed));
    }

    #[test]
    fn what_is_no_request_is_answered_at_once_and_what_has_no_end_too() {
        assert_eq!(parse(b"\xff\xfb\x1f"), whole(Status::BadRequest));
        assert_eq!(parse(b"login: \x1b"), whole(Status::BadRequest));
        let endless = [b"GET /metrics HTTP/1.1\r\nA: ".to_vec(), vec![b'a'; 1 << 20]].concat();
        assert_eq!(parse(&endless), whole(Status::TooLarge));
        let fields = [b"GET / HTTP/1.1\r\n".to_vec(), b"A: b\r\n".repeat(100)].concat();
        assert_eq!(parse(&fields), whole(Status::TooLarge));
    }

    #[test]
    fn a_head_tells_how_much_follows() {
        let head = Status::Ok.head(12);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"));
        assert!(head.contains("Content-Length: 12\r\n") && head.contains("version=0.0.4"));
        assert!(Status::MethodNotAllowed.head(0).contains("Allow: GET, HEAD\r\n"));
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
            let is_long = bytes.len() >= LONGEST_HEAD;
            prop_assert!(!is_long || parse(&bytes) != Request::More);
        }
    }
}
