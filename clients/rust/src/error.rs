use serde_json::Value;
use std::fmt;

/// One place in a request that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// A JSON pointer, such as `/targets/3`.
    pub pointer: String,
    pub detail: String,
}

/// What the service refuses, or a local kernel in the same words (RFC 9457).
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Stable, such as `label-out-of-range`.
    pub code: String,
    /// One sentence.
    pub detail: String,
    pub places: Vec<Place>,
    pub status: u16,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

impl Problem {
    /// The first wrong place; empty if there is none.
    pub fn pointer(&self) -> &str {
        self.places.first().map_or("", |place| &place.pointer)
    }

    #[cfg_attr(not(feature = "local"), allow(dead_code))]
    pub(crate) fn at(code: &str, pointer: &str, detail: String) -> Self {
        let places = vec![Place { pointer: pointer.into(), detail: detail.clone() }];
        Problem { code: code.into(), detail: format!("{pointer}: {detail}"), places, status: 422, retryable: false }
    }

    pub(crate) fn from_document(document: &Value, status: u16) -> Self {
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let code = text(document, "type").rsplit([':', '#']).next().unwrap_or_default().to_owned();
        let errors = document["errors"].as_array().cloned().unwrap_or_default();
        let places = errors.iter().map(|e| Place { pointer: text(e, "pointer"), detail: text(e, "detail") });
        Problem {
            code: if code.is_empty() { "internal".into() } else { code },
            detail: text(document, "detail"),
            places: places.collect(),
            status,
            retryable: document["retryable"].as_bool().unwrap_or(false),
        }
    }
}

/// What can go wrong.
#[derive(Debug)]
pub enum Error {
    /// The request is wrong, or the service cannot compute it at the moment.
    Problem(Problem),
    /// There is no connection to the service, or no response before the deadline.
    Unreachable(String),
    /// The bytes of a kernel are not those that their hash stands for.
    KernelRejected(String),
    /// A kernel has another version of the binary interface; the message says what to install.
    Abi(String),
    /// The WebAssembly runtime failed.
    Runtime(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Problem(problem) => write!(f, "{}: {}", problem.code, problem.detail),
            Error::Unreachable(why) | Error::KernelRejected(why) | Error::Abi(why) | Error::Runtime(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Error::Problem(problem)
    }
}
