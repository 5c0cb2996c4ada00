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
