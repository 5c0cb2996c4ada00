//! The shared vectors, with local kernels and from the service.
#![cfg(feature = "local")]

use base64::prelude::{Engine, BASE64_STANDARD};
use lossd::{Client, Data, Error, Inputs, Loss, Output, Tensor};
use serde_json::Value;

fn service() -> Option<Client> {
    let Ok(url) = std::env::var("LOSSD_URL") else {
        println!("there is no service at $LOSSD_URL: npm run test:clients -- rust starts one");
        return None;
    };
    let folder = std::env::temp_dir().join(format!("lossd-{}", std::process::id()));
    Some(Client::new(&url).cache(folder))
}

fn vectors(name: &str) -> Vec<Value> {
    let path = format!("{}/../conformance/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn tensor(dtype: &str, shape: &[usize], text: &Value) -> Tensor {
    let bytes = BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap();
    match dtype {
        "float64" => Tensor::f64(bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(), shape),
        "int32" => Tensor::i32(bytes.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap())).collect(), shape),
        _ => Tensor::f32(bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(), shape),
    }
}

fn inputs(one: &Value) -> Vec<(&str, Tensor)> {
    let shape = |e: &Value| e["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect::<Vec<_>>();
    let own = one["tensors"].as_object().unwrap();
    own.iter().map(|(name, e)| (name.as_str(), tensor(e["dtype"].as_str().unwrap(), &shape(e), &e["data"]))).collect()
}

fn loss(one: &Value) -> Loss {
    let mut loss = Loss::new(one["loss"].as_str().unwrap());
    for (name, value) in one["params"].as_object().into_iter().flatten() {
        loss = loss.param(name, value.clone());
    }
    if let Some(reduction) = one["reduction"].as_str() {
        loss = loss.reduction(reduction);
    }
    if let Some(denominator) = one["denominator"].as_f64() {
        loss = loss.denominator(denominator);
    }
    loss
}

fn local(loss: &Loss, client: &Client, inputs: &Inputs) -> Result<Output, Error> {
    loss.compile(client, inputs)?.evaluate(inputs)
}

/// The same bits for a local kernel; the service may use fused arithmetic, where its machine has it.
fn same(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().filter(|x| x.is_finite()).fold(1e-3_f64, |most, x| most.max(x.abs()));
    for (g, w) in got.iter().zip(want) {
        let is_same = g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= tolerance * scale;
        assert!(is_same, "{what}: {g}, expected {w}");
    }
}

#[test]
fn computes_what_the_service_computes() {
    let Some(client) = service() else { return };
    for (place, one) in vectors("losses").iter().enumerate() {
        let (want, inputs) = (&one["want"], inputs(one));
        let names: Vec<_> = want["gradients"].as_object().unwrap().keys().map(String::as_str).collect();
        let loss = loss(one).gradients(&names);
        let is_double = inputs.iter().any(|(_, t)| matches!(t.data, Data::F64(_)));
        let precision = if is_double { "float64" } else { "float32" };
        for is_local in [true, false] {
            let label = format!("{} {place}, {}", one["loss"], if is_local { "local" } else { "remote" });
            let found = if is_local { local(&loss, &client, &inputs) } else { loss.remote(&client, &inputs) };
            let found = found.unwrap_or_else(|error| panic!("{label}: {error}"));
            let tolerance = if is_local { 0.0 } else if is_double { 1e-9 } else { 1e-5 };
            let values = found.values.as_ref().map_or(vec![found.loss], Tensor::to_f64);
            same(&label, &values, &tensor(want["dtype"].as_str().unwrap(), &[], &want["loss"]).to_f64(), tolerance);
            assert_eq!(found.count, want["count"].as_u64().unwrap(), "{label}");
            for name in &names {
                same(&format!("{label}, {name}"), &found.gradients[*name].to_f64(), &tensor(precision, &[], &want["gradients"][name]).to_f64(), tolerance);
            }
        }
    }
}

#[test]
fn refuses_in_the_same_words() {
    let Some(client) = service() else { return };
    for one in vectors("problems") {
        let (loss, inputs) = (loss(&one), inputs(&one));
        for found in [local(&loss, &client, &inputs), loss.remote(&client, &inputs)] {
            let Err(Error::Problem(problem)) = found else { panic!("{one}: {found:?}") };
            let want = ["code", "pointer", "detail"].map(|name| one["problem"][name].as_str().unwrap());
            assert_eq!([problem.code.as_str(), problem.pointer(), problem.detail.as_str()], want);
        }
    }
}

#[test]
fn works_offline_and_refuses_changed_bytes() {
    let Some(client) = service() else { return };
    let folder = std::env::temp_dir().join(format!("lossd-offline-{}", std::process::id()));
    let inputs = [("predictions", Tensor::f32(vec![1.0, 5.0], &[2])), ("targets", Tensor::f32(vec![1.0, 2.0], &[2]))];
    let loss = Loss::new("huber").param("delta", 2.0);
    let client = client.cache(&folder);
    let first = local(&loss, &client, &inputs).unwrap();
    let dead = client.retries(0).timeout(std::time::Duration::from_millis(100));
    assert_eq!(first.loss, 2.0);
    assert_eq!(local(&loss, &dead, &inputs).unwrap(), first);
    for entry in std::fs::read_dir(folder.join("kernels")).unwrap() {
        std::fs::write(entry.unwrap().path(), b"\0asm").unwrap();
    }
    assert!(matches!(local(&loss, &dead, &inputs), Err(Error::KernelRejected(_))));
}

#[test]
fn returns_where_there_is_no_service() {
    let client = Client::new("http://127.0.0.1:9").retries(0);
    let inputs = [("predictions", Tensor::f32(vec![1.0], &[1])), ("targets", Tensor::f32(vec![1.0], &[1]))];
    assert!(matches!(Loss::new("huber").remote(&client, &inputs), Err(Error::Unreachable(_))));
}

#[test]
fn trains_to_the_weights_of_a_gradient_by_hand() {
    let Some(client) = service() else { return };
    let (x, y) = ([[1.0, 2.0], [3.0, 1.0], [0.0, 4.0], [2.0, 2.0]], vec![5.0, 5.0, 8.0, 6.5]);
    let predicted = |w: &[f64; 2]| x.iter().map(|row| row[0] * w[0] + row[1] * w[1]).collect::<Vec<_>>();
    let train = |gradient: &mut dyn FnMut(Vec<f64>) -> Vec<f64>| {
        let mut w = [0.0, 0.0];
        for _ in 0..200 {
            for (g, row) in gradient(predicted(&w)).iter().zip(x) {
                w = [w[0] - 0.1 * g * row[0], w[1] - 0.1 * g * row[1]];
            }
        }
        w
    };
    let want = train(&mut |p| p.iter().zip(&y).map(|(p, y)| (p - y).clamp(-1.0, 1.0) / 4.0).collect());
    let huber = Loss::new("huber").gradients(&["predictions"]);
    let auto = huber.auto(&client);
    let computes: [&dyn Fn(&Inputs) -> Result<Output, Error>; 3] =
        [&|inputs| local(&huber, &client, inputs), &|inputs| huber.remote(&client, inputs), &|inputs| auto.evaluate(inputs)];
    for compute in computes {
        let got = train(&mut |p| {
            let inputs = [("predictions", Tensor::f64(p, &[4])), ("targets", Tensor::f64(y.clone(), &[4]))];
            compute(&inputs).unwrap().gradients["predictions"].to_f64()
        });
        assert!((got[0] - want[0]).abs() < 1e-9 && (got[1] - want[1]).abs() < 1e-9, "{got:?}, expected {want:?}");
    }
}

#[test]
fn traces_a_function_into_a_formula() {
    let Some(client) = service() else { return };
    let cauchy = Loss::traced(["predictions", "targets"], [("scale", 1.0)], |[p, t], [scale]| {
        lossd::trace::call("log1p", [((p - t) / scale).pow(2.0)])
    });
    let cauchy = cauchy.param("scale", 2.0);
    let inputs = [("predictions", Tensor::f32(vec![1.0, 5.0], &[2])), ("targets", Tensor::f32(vec![1.0, 2.0], &[2]))];
    for found in [local(&cauchy, &client, &inputs), cauchy.remote(&client, &inputs)] {
        assert!((found.unwrap().loss - 2.25_f64.ln_1p() / 2.0).abs() < 1e-6);
    }
}

#[test]
fn auto_goes_on_when_the_service_is_gone() {
    let Some(client) = service() else { return };
    let inputs = [("predictions", Tensor::f32(vec![1.0, 5.0], &[2])), ("targets", Tensor::f32(vec![1.0, 2.0], &[2]))];
    let huber = Loss::new("huber");
    let folder = std::env::temp_dir().join(format!("lossd-gone-{}", std::process::id()));
    huber.compile(&client.cache(&folder), &inputs).unwrap();
    let auto = huber.auto(&Client::new("http://127.0.0.1:9").cache(&folder).retries(0));
    for _ in 0..10 {
        assert_eq!(auto.evaluate(&inputs).unwrap().loss, 1.25);
    }
}

/// The measurements of 150 flowers about their means, with a 1 for the bias, and their species.
fn iris() -> (Vec<Vec<f64>>, Vec<i32>) {
    let path = format!("{}/../../examples/data/iris.csv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows: Vec<Vec<f64>> = text.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
    let species = rows.iter().map(|row| row[4] as i32).collect();
    rows.iter_mut().for_each(|row| row[4] = 1.0);
    for column in 0..4 {
        let mean = rows.iter().map(|row| row[column]).sum::<f64>() / rows.len() as f64;
        rows.iter_mut().for_each(|row| row[column] -= mean);
    }
    (rows, species)
}

/// Weights after a hundred steps along a gradient with respect to the logits.
fn trained(x: &[Vec<f64>], gradient: &dyn Fn(Vec<f32>) -> Vec<f32>) -> [f64; 15] {
    let mut weights = [0.0; 15];
    for _ in 0..100 {
        let logit = |place: usize| x[place / 3].iter().enumerate().map(|(j, value)| value * weights[3 * j + place % 3]).sum::<f64>() as f32;
        let logits = (0..3 * x.len()).map(logit).collect();
        for (place, g) in gradient(logits).into_iter().enumerate() {
            for (j, value) in x[place / 3].iter().enumerate() {
                weights[3 * j + place % 3] -= 0.1 * f64::from(g) * value;
            }
        }
    }
    weights
}

/// That of the mean cross-entropy, by its formula.
fn softmax_gradient(logits: &[f32], y: &[i32]) -> Vec<f32> {
    let of_row = |(row, label): (&[f32], &i32)| {
        let powers: Vec<f64> = row.iter().map(|logit| f64::from(*logit).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let one = |(c, power): (usize, &f64)| ((power / sum - f64::from(c as i32 == *label)) / y.len() as f64) as f32;
        powers.iter().enumerate().map(one).collect::<Vec<_>>()
    };
    logits.chunks(3).zip(y).flat_map(of_row).collect()
}

#[test]
fn trains_on_iris_to_the_weights_of_the_plain_formula() {
    let Some(client) = service() else { return };
    let (x, y) = iris();
    let want = trained(&x, &|logits| softmax_gradient(&logits, &y));
    assert!(want[8].abs() > 0.1, "nothing was learned");
    let loss = Loss::new("cross_entropy").gradients(&["predictions"]);
    for is_local in [true, false] {
        let got = trained(&x, &|logits| {
            let inputs = [("predictions", Tensor::f32(logits, &[y.len(), 3])), ("targets", Tensor::i32(y.clone(), &[y.len()]))];
            let found = if is_local { local(&loss, &client, &inputs) } else { loss.remote(&client, &inputs) };
            let Data::F32(gradient) = found.unwrap().gradients["predictions"].data.clone() else { panic!("a gradient of float32") };
            gradient
        });
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-5), "{got:?}, expected {want:?}");
    }
}

#[test]
fn computes_second_derivatives_in_both_places() {
    let Some(client) = service() else { return };
    let inputs = [("predictions", Tensor::f64(vec![1.0, 5.0], &[2])), ("targets", Tensor::f64(vec![1.5, 2.0], &[2]))];
    let huber = Loss::new("huber").reduction("sum").gradients(&["predictions"]).hessian();
    for found in [local(&huber, &client, &inputs).unwrap(), huber.remote(&client, &inputs).unwrap()] {
        assert_eq!(found.hessian["predictions"].to_f64(), [1.0, 0.0]);
        assert_eq!(found.gradients["predictions"].to_f64(), [-0.5, 1.0]);
    }
}

/// A service that answers each connection with the next of these texts. It returns the heads of the requests.
fn answering(answers: Vec<&'static str>) -> (Client, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()));
    let serve = move |answer: &str| {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(&stream).lines().map(Result::unwrap);
        let head = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        write!(stream, "HTTP/1.1 {answer}").unwrap();
        head
    };
    (client, std::thread::spawn(move || answers.into_iter().map(serve).collect()))
}

#[test]
fn follows_the_pages_of_the_catalog() {
    let first = "200 OK\r\ncontent-length: 42\r\nconnection: close\r\n\r\n{\"losses\":[{\"name\":\"a/b c\"}],\"next\":\"b c\"}";
    let last = "200 OK\r\ncontent-length: 27\r\nconnection: close\r\n\r\n{\"losses\":[{\"name\":\"a/d\"}]}";
    let (client, served) = answering(vec![first, last]);
    let names: Vec<_> = client.catalog(Some("a")).unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["a/b c", "a/d"]);
    assert!(served.join().unwrap()[1].contains("namespace=a&after=b%20c"));
}

/// What was logged, by level.
struct Log(std::sync::Mutex<Vec<(log::Level, String)>>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }
    fn log(&self, record: &log::Record) {
        self.0.lock().unwrap().push((record.level(), record.args().to_string()));
    }
    fn flush(&self) {}
}

static LOG: Log = Log(std::sync::Mutex::new(vec![]));

#[test]
fn logs_what_it_repeats_with_the_trace_context() {
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let busy = "503 Busy\r\ncontent-length: 54\r\nconnection: close\r\n\r\n{\"type\":\"urn:lossd:problem:draining\",\"detail\":\"later\"}";
    let (client, served) = answering(vec![busy, "200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"]);
    client.traceparent(|| Some("00-1-2-01".into())).describe("huber").unwrap();
    assert!(served.join().unwrap().iter().all(|head| head.to_lowercase().contains("traceparent: 00-1-2-01")));
    let logged = LOG.0.lock().unwrap();
    assert!(logged.iter().any(|(level, text)| *level == log::Level::Warn && text.contains("draining: later; attempt 2")), "{logged:?}");
}
