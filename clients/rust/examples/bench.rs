//! Prints microseconds of value and gradient or, with `auto`, where that computes, as JSON lines: `npm run bench:clients` runs it.

use lossd::{Client, Error, Inputs, Loss, Tensor};
use serde_json::json;
use std::time::{Duration, Instant};

fn main() -> Result<(), Error> {
    let url = std::env::var("LOSSD_URL").unwrap_or("http://localhost:8080".into());
    let client = Client::new(&url);
    match std::env::args().nth(1).as_deref() {
        Some("auto") => sweep(&client),
        _ => clients(&client),
    }
}

fn clients(client: &Client) -> Result<(), Error> {
    for (rows, columns) in [(32, 10), (1024, 10), (1024, 1000)] {
        let random = || Tensor::f32(numbers(rows * columns), &[rows, columns]);
        for (name, targets) in [("huber", random()), ("cross_entropy", labels(rows, columns))] {
            let inputs = [("predictions", random()), ("targets", targets)];
            let loss = Loss::new(name).gradients(&["predictions"]);
            let mut kernel = loss.compile(client, &inputs)?;
            let local = best(|| kernel.evaluate(&inputs).map(drop))?;
            let remote = best(|| loss.remote(client, &inputs).map(drop))?;
            for (place, us) in [("local", local), ("remote", remote)] {
                println!("{}", json!({ "client": "Rust", "where": place, "loss": name, "rows": rows, "columns": columns, "us": us }));
            }
        }
    }
    Ok(())
}

fn sweep(client: &Client) -> Result<(), Error> {
    let loss = Loss::new("cross_entropy");
    let auto = loss.auto(client);
    for exponent in 0..20 {
        let rows = 2_f64.powf(f64::from(exponent) * 0.75) as usize;
        let inputs: &Inputs = &[("predictions", Tensor::f32(numbers(rows * 100), &[rows, 100])), ("targets", labels(rows, 100))];
        let mut is_local = false;
        for _ in 0..10 {
            is_local = auto.evaluate(inputs)?.is_local;
        }
        let mut kernel = loss.compile(client, inputs)?;
        let local = least(20, || kernel.evaluate(inputs).map(drop))?;
        let remote = least(20, || loss.remote(client, inputs).map(drop))?;
        let chosen = if is_local { "local" } else { "remote" };
        println!("{}", json!({ "client": "Rust", "size": rows, "local": local, "remote": remote, "chosen": chosen }));
    }
    Ok(())
}

/// Between -0.5 and 0.5, by a linear congruence.
fn numbers(count: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

fn labels(rows: usize, columns: usize) -> Tensor {
    Tensor::i32((0..rows).map(|row| (row % columns) as i32).collect(), &[rows])
}

/// The least microseconds of a call in half a second.
fn best(mut call: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    call()?;
    let mut found = f64::INFINITY;
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        found = found.min(least(1, &mut call)?);
    }
    Ok(found)
}

fn least(calls: usize, mut call: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let mut found = f64::INFINITY;
    for _ in 0..calls {
        let started = Instant::now();
        call()?;
        found = found.min(started.elapsed().as_nanos() as f64 / 1000.0);
    }
    Ok(found)
}
