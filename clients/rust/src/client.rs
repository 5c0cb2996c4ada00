use crate::{Error, Inputs, Loss, Output, Problem, Tensor};
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SAFETENSORS: &str = "application/x-safetensors";

/// A client of one service, for any number of threads. Its connections stay open.
#[derive(Debug, Clone)]
pub struct Client {
    url: String,
    key: Option<String>,
    timeout: Duration,
    retries: u32,
    agent: ureq::Agent,
    traceparent: Option<Traceparent>,
    #[cfg_attr(not(feature = "local"), allow(dead_code))]
    cache: std::path::PathBuf,
}

/// What returns the trace context of a request.
#[derive(Clone)]
struct Traceparent(Arc<dyn Fn() -> Option<String> + Send + Sync>);

impl fmt::Debug for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a function")
    }
}

impl Client {
    /// A client of the service at this URL, with the key in `$LOSSD_API_KEY`.
    pub fn new(url: &str) -> Self {
        let home = std::env::var("HOME").unwrap_or_default();
        let cache = std::env::var("LOSSD_CACHE").unwrap_or_else(|_| format!("{home}/.cache/lossd"));
        Client {
            url: url.trim_end_matches('/').into(),
            key: std::env::var("LOSSD_API_KEY").ok(),
            timeout: Duration::from_secs(30),
            retries: 4,
            agent: ureq::AgentBuilder::new().build(),
            traceparent: None,
            cache: cache.into(),
        }
    }

    /// The time for each call, with all of its attempts.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a request is repeated that the service refuses for the moment.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// The key that the service asks for.
    pub fn api_key(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The W3C trace context that a request belongs to, asked for before each attempt.
    pub fn traceparent(mut self, context: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.traceparent = Some(Traceparent(Arc::new(context)));
        self
    }

    /// Where kernels are kept.
    pub fn cache(mut self, folder: impl Into<std::path::PathBuf>) -> Self {
        self.cache = folder.into();
        self
    }

    /// Repeats what the service refuses for the moment, until it succeeds or the deadline passes.
    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<(Vec<u8>, String), Error> {
        let deadline = Instant::now() + self.timeout;
        for attempt in 0.. {
            let (error, after) = match self.once(method, path, kind, body, deadline) {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let pause = after.map(|seconds| Duration::from_secs_f64(seconds + jitter(attempt)));
            let Some(pause) = pause.filter(|pause| attempt < self.retries && Instant::now() + *pause < deadline) else {
                return Err(error);
            };
            log::warn!("lossd: {error}; attempt {} follows in {:.2} s", attempt + 2, pause.as_secs_f64());
            std::thread::sleep(pause);
        }
        unreachable!()
    }

    /// An error, and the seconds after which another attempt makes sense.
    #[allow(clippy::type_complexity)]
    fn once(&self, method: &str, path: &str, kind: &str, body: &[u8], deadline: Instant) -> Result<(Vec<u8>, String), (Error, Option<f64>)> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut request = self
            .agent
            .request(method, &format!("{}{path}", self.url))
            .timeout(left)
            .set("X-Request-Timeout-Ms", &left.as_millis().to_string());
        if !kind.is_empty() {
            request = request.set("Content-Type", kind).set("Accept", if kind == SAFETENSORS { kind } else { "*/*" });
        }
        if let Some(key) = &self.key {
            request = request.set("Authorization", &format!("Bearer {key}"));
        }
        if let Some(context) = self.traceparent.as_ref().and_then(|context| context.0()) {
            request = request.set("Traceparent", &context);
        }
        let unreachable = |why: String| (Error::Unreachable(format!("{} cannot be reached: {why}", self.url)), Some(0.0));
        let answer = if body.is_empty() { request.call() } else { request.send_bytes(body) };
        match answer {
            Ok(answer) => {
                let etag = answer.header("etag").unwrap_or_default().trim_matches(['W', '/', '"']).to_owned();
                Ok((bytes_of(answer).map_err(|e| unreachable(e.to_string()))?, etag))
            }
            Err(ureq::Error::Status(status, answer)) => {
                let seconds = answer.header("retry-after").and_then(|text| text.parse().ok()).unwrap_or(0.0);
                let document = serde_json::from_slice(&bytes_of(answer).unwrap_or_default()).unwrap_or(Value::Null);
                let after = matches!(status, 429 | 503).then_some(seconds);
                Err((Problem::from_document(&document, status).into(), after))
            }
            Err(error) => Err(unreachable(error.to_string())),
        }
    }

    /// Sends a request to a path of the service as JSON: registration, analysis and the like.
    pub fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let bytes = body.map(|value| value.to_string().into_bytes()).unwrap_or_default();
        let (answer, _) = self.send(method, path, if body.is_some() { "application/json" } else { "" }, &bytes)?;
        serde_json::from_slice(&answer).map_err(|error| Error::Unreachable(error.to_string()))
    }

    /// Keeps a loss of your own under namespace/name.
    pub fn register(&self, definition: &Value) -> Result<Value, Error> {
        self.json("POST", "/v1/losses", Some(definition))
    }

    /// What can be proved of a loss, such as `json!({ "loss": "huber" })`.
    pub fn analyze(&self, question: &Value) -> Result<Value, Error> {
        self.json("POST", "/v1/losses:analyze", Some(question))
    }

    /// Checks the gradient of a loss at given inputs, in four ways. Without a name, the body has a `formula` or a `definition`.
    pub fn check(&self, name: Option<&str>, body: &Value) -> Result<Value, Error> {
        let path = name.map_or("/v1/losses".into(), path_of);
        self.json("POST", &format!("{path}:check"), Some(body))
    }

    /// One loss: formula, inputs, parameters, references, examples.
    pub fn describe(&self, name: &str) -> Result<Value, Error> {
        self.json("GET", &path_of(name), None)
    }

    /// All losses of the catalog, or the registered ones of a namespace.
    pub fn catalog(&self, namespace: Option<&str>) -> Result<Vec<Value>, Error> {
        let mut found = vec![];
        let mut after: Option<String> = None;
        loop {
            let query = [("namespace", namespace), ("after", after.as_deref())];
            let pairs = query.iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped((*value)?, ""))));
            let page = self.json("GET", &format!("/v1/losses?{}", pairs.collect::<Vec<_>>().join("&")), None)?;
            found.extend(page["losses"].as_array().into_iter().flatten().cloned());
            let Some(next) = page["next"].as_str() else { return Ok(found) };
            after = Some(next.to_owned());
        }
    }

    /// Which loss to choose, and why.
    pub fn guide(&self, question: &[(&str, &str)]) -> Result<Value, Error> {
        let pairs: Vec<_> = question.iter().map(|(name, value)| format!("{name}={}", escaped(value, ""))).collect();
        self.json("GET", &format!("/v1/guide?{}", pairs.join("&")), None)
    }

    pub(crate) fn evaluate(&self, loss: &Loss, inputs: &Inputs) -> Result<Output, Error> {
        let mut options = loss.inline.clone();
        options.insert("reduction".into(), json!(loss.reduction));
        if !loss.params.is_empty() {
            options.insert("params".into(), Value::Object(loss.params.clone()));
        }
        if let Some(names) = &loss.gradients {
            options.insert("gradients".into(), if names.is_empty() { json!(false) } else { json!(names) });
        }
        if loss.hessian {
            options.insert("hessian".into(), json!("diagonal"));
        }
        if let Some(denominator) = loss.denominator {
            options.insert("denominator".into(), json!(denominator));
        }
        let path = loss.name.as_deref().map_or("/v1/losses:evaluate".into(), path_of);
        let (answer, _) = self.send("POST", &path, SAFETENSORS, &encode(inputs, &options))?;
        decode(&answer, &loss.reduction)
    }
}

fn jitter(attempt: u32) -> f64 {
    // Full jitter, so that clients which were refused together do not come back together.
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    (nanos % 1000) as f64 / 1000.0 * (0.05 * f64::from(1 << attempt.min(6))).min(2.0)
}

fn bytes_of(answer: ureq::Response) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    answer.into_reader().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn path_of(name: &str) -> String {
    format!("/v1/losses/{}", escaped(name, "/@"))
}

fn escaped(text: &str, kept: &str) -> String {
    let keeps = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || kept.as_bytes().contains(&byte);
    text.bytes().map(|byte| if keeps(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Tensors by name, and options as JSON in the metadata.
fn encode(inputs: &Inputs, options: &Map<String, Value>) -> Vec<u8> {
    let metadata: Map<String, Value> = options.iter().map(|(name, value)| (name.clone(), json!(value.to_string()))).collect();
    let mut header = Map::from_iter([("__metadata__".to_string(), Value::Object(metadata))]);
    let mut data = Vec::new();
    for (name, tensor) in inputs {
        let start = data.len();
        data.extend(tensor.bytes());
        let entry = json!({ "dtype": tensor.code(), "shape": tensor.shape, "data_offsets": [start, data.len()] });
        header.insert(name.to_string(), entry);
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().div_ceil(8) * 8, b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text, &data].concat()
}

fn decode(body: &[u8], reduction: &str) -> Result<Output, Error> {
    let invalid = || Error::Unreachable("the response is no safetensors file".into());
    let length = u64::from_le_bytes(body.get(..8).ok_or_else(invalid)?.try_into().unwrap()) as usize;
    let header: Map<String, Value> = serde_json::from_slice(body.get(8..8 + length).ok_or_else(invalid)?).map_err(|_| invalid())?;
    let member = |name: &str| header["__metadata__"][name].as_str().and_then(|text| text.parse::<f64>().ok());
    let (denominator, count) = (member("denominator").unwrap_or(f64::NAN), member("count").unwrap_or(0.0) as u64);
    let (gradients, hessian) = (BTreeMap::new(), BTreeMap::new());
    let mut output = Output { loss: f64::NAN, values: None, gradients, hessian, denominator, count, is_local: false };
    for (name, entry) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let numbers = |key: &str| entry[key].as_array().into_iter().flatten().filter_map(Value::as_u64).map(|n| n as usize).collect::<Vec<_>>();
        let offsets = numbers("data_offsets");
        let tensor = Tensor::from_bytes(entry["dtype"] == "F64", numbers("shape"), &body[8 + length + offsets[0]..8 + length + offsets[1]]);
        match name.split_once('.') {
            Some(("gradients", input)) => drop(output.gradients.insert(input.into(), tensor)),
            Some((_, input)) => drop(output.hessian.insert(input.into(), tensor)),
            None if reduction == "none" => output.values = Some(tensor),
            None => output.loss = tensor.to_f64()[0],
        }
    }
    Ok(output)
}

#[cfg(feature = "local")]
mod kernels {
    use super::*;
    use sha2::{Digest, Sha256};
    use std::fs;

    impl Client {
        /// The module of a kernel: from disk, or from the service.
        pub(crate) fn kernel(&self, loss: &Loss, inputs: &Inputs) -> Result<Vec<u8>, Error> {
            let own: Vec<_> = inputs.iter().filter(|(name, _)| !matches!(*name, "sample_weight" | "grad_output")).collect();
            let structure: Vec<_> = own.iter().map(|(name, t)| json!([name, t.dtype(), t.shape.len()])).collect();
            let is_of_service = loss.name.as_deref().map_or(true, |name| name.contains('/'));
            let url = if is_of_service { &self.url } else { "" };
            let question = json!([1, url, loss.name, loss.inline, loss.params, loss.gradients, loss.hessian, structure]).to_string();
            if let Some(module) = self.cached(&question)? {
                return Ok(module);
            }
            let text = |(name, t): &&(&str, Tensor)| format!("{name}:{}{:?}", t.dtype(), t.shape).replace(' ', "");
            let mut query = loss.inline.clone();
            query.insert("inputs".into(), json!(own.iter().map(text).collect::<Vec<_>>().join(";")));
            if let Some(names) = &loss.gradients {
                query.insert("gradients".into(), json!(if names.is_empty() { "false".into() } else { names.join(",") }));
            }
            if loss.hessian {
                query.insert("hessian".into(), json!("diagonal"));
            }
            if !loss.params.is_empty() {
                query.insert("params".into(), Value::Object(loss.params.clone()));
            }
            let (module, etag) = match &loss.name {
                None => self.send("POST", "/v1/losses:kernel", "application/json", Value::Object(query).to_string().as_bytes())?,
                Some(name) => {
                    let pairs = query.iter().map(|(key, value)| {
                        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        format!("{key}={}", escaped(&text, ""))
                    });
                    let path = format!("{}/kernel.wasm?{}", path_of(name), pairs.collect::<Vec<_>>().join("&"));
                    self.send("GET", &path, "", &[])?
                }
            };
            verify(&module, &etag)?;
            // A folder that cannot be written to is only slower.
            let _ = self.keep(&question, &module);
            Ok(module)
        }

        fn index(&self, question: &str) -> std::path::PathBuf {
            self.cache.join("index").join(format!("{}.json", hash(question.as_bytes())))
        }

        fn cached(&self, question: &str) -> Result<Option<Vec<u8>>, Error> {
            let Ok(text) = fs::read_to_string(self.index(question)) else { return Ok(None) };
            let entry: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            let sha = entry["sha256"].as_str().unwrap_or_default();
            let Ok(module) = fs::read(self.cache.join("kernels").join(format!("{sha}.wasm"))) else { return Ok(None) };
            verify(&module, sha)?;
            Ok(Some(module))
        }

        fn keep(&self, question: &str, module: &[u8]) -> std::io::Result<()> {
            let sha = hash(module);
            replace(&self.cache.join("kernels").join(format!("{sha}.wasm")), module)?;
            replace(&self.index(question), json!({ "question": question, "sha256": sha }).to_string().as_bytes())
        }
    }

    /// At once, so that another process never reads half of it.
    fn replace(path: &std::path::Path, content: &[u8]) -> std::io::Result<()> {
        fs::create_dir_all(path.parent().unwrap())?;
        let draft = path.with_extension(format!("{}.{:?}", std::process::id(), std::thread::current().id()));
        fs::write(&draft, content)?;
        fs::rename(draft, path)
    }

    fn verify(module: &[u8], sha: &str) -> Result<(), Error> {
        let found = hash(module);
        if found == sha {
            return Ok(());
        }
        Err(Error::KernelRejected(format!("the kernel has the hash {found}, expected {sha}")))
    }

    fn hash(content: &[u8]) -> String {
        Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
