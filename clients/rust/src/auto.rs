use crate::{Client, Error, Inputs, Kernel, Loss, Output};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A place is tried this often before it is compared; the first time does not count.
const TRIALS: usize = 3;
/// The least that a response takes, as long as there was none.
const FLOOR: Duration = Duration::from_micros(300);
const MOST: usize = 16;

/// A loss that is computed where it is faster: in this process or in the service. It may be used by any number of threads.
///
/// ```no_run
/// # use lossd::{Client, Loss, Tensor};
/// let huber = Loss::new("huber").auto(&Client::new("http://localhost:8080"));
/// let inputs = [("predictions", Tensor::f32(vec![1.0, 5.0], &[2])), ("targets", Tensor::f32(vec![1.0, 2.0], &[2]))];
/// let result = huber.evaluate(&inputs)?;
/// # Ok::<(), lossd::Error>(())
/// ```
pub struct Auto {
    loss: Loss,
    client: Client,
    /// By the structure of their inputs: those that no thread uses.
    idle: Mutex<HashMap<String, Vec<Kernel>>>,
    costs: Mutex<Costs>,
}

impl Loss {
    /// Computes where it is faster. Both places are tried for each size.
    pub fn auto(&self, client: &Client) -> Auto {
        Auto { loss: self.clone(), client: client.clone(), idle: Mutex::default(), costs: Mutex::default() }
    }
}

impl Auto {
    /// The loss and its gradients.
    pub fn evaluate(&self, inputs: &Inputs) -> Result<Output, Error> {
        let structure = structure_of(inputs);
        let size: usize = inputs.iter().map(|(_, tensor)| tensor.shape.iter().product::<usize>()).sum();
        let key = format!("{structure} {}", size.checked_ilog2().unwrap_or(0));
        if !held(&self.costs).is_local(&key) {
            return self.remote(key, inputs);
        }
        match self.local(&key, &structure, inputs) {
            Err(Error::Problem(problem)) if problem.code == "kernel-unavailable" => {
                held(&self.costs).without_kernel.insert(key);
                self.loss.remote(&self.client, inputs)
            }
            found => found,
        }
    }

    /// In the service; here if it is gone.
    fn remote(&self, key: String, inputs: &Inputs) -> Result<Output, Error> {
        let started = Instant::now();
        match self.loss.remote(&self.client, inputs) {
            Err(Error::Unreachable(_)) => self.local(&key, &structure_of(inputs), inputs),
            found => {
                held(&self.costs).learn(key, false, started.elapsed());
                found
            }
        }
    }

    fn local(&self, key: &str, structure: &str, inputs: &Inputs) -> Result<Output, Error> {
        let known = held(&self.idle).get_mut(structure).and_then(Vec::pop);
        let mut kernel = match known {
            Some(kernel) => kernel,
            None => self.loss.compile(&self.client, inputs)?,
        };
        let started = Instant::now();
        let found = kernel.evaluate(inputs);
        held(&self.costs).learn(key.into(), true, started.elapsed());
        held(&self.idle).entry(structure.into()).or_default().push(kernel);
        found
    }
}

/// What a panic of another thread leaves is whole: everything in it is replaced at once.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn structure_of(inputs: &Inputs) -> String {
    inputs.iter().map(|(name, tensor)| format!("{name}:{}{};", tensor.dtype(), tensor.shape.len())).collect()
}

/// What calls took, to choose the faster place for the next.
#[derive(Debug, Default)]
struct Costs {
    local: HashMap<String, Vec<Duration>>,
    remote: HashMap<String, Vec<Duration>>,
    without_kernel: HashSet<String>,
    least_remote: Option<Duration>,
}

impl Costs {
    fn is_local(&self, key: &str) -> bool {
        if self.without_kernel.contains(key) {
            return false;
        }
        let Some(best) = least(self.local.get(key)) else { return true };
        // Nothing is faster than the fastest answer of the service so far.
        best <= self.least_remote.unwrap_or(FLOOR) || least(self.remote.get(key)).is_some_and(|there| best <= there)
    }

    fn learn(&mut self, key: String, is_local: bool, spent: Duration) {
        if !is_local {
            self.least_remote = Some(self.least_remote.map_or(spent, |known| known.min(spent)));
        }
        let times = if is_local { &mut self.local } else { &mut self.remote }.entry(key).or_default();
        times.push(spent);
        if times.len() > MOST {
            times.remove(1);
        }
    }
}

/// Absent as long as there were too few calls.
fn least(times: Option<&Vec<Duration>>) -> Option<Duration> {
    times.filter(|times| times.len() >= TRIALS).and_then(|times| times[1..].iter().min().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_faster_place() {
        let mut costs = Costs::default();
        let learn = |costs: &mut Costs, is_local: bool, times: usize, micros: u64| {
            (0..times).for_each(|_| costs.learn("k".into(), is_local, Duration::from_micros(micros)))
        };
        assert!(costs.is_local("k"), "a kernel is tried first");
        learn(&mut costs, true, TRIALS, 900);
        assert!(!costs.is_local("k"), "then the service, if it may be faster");
        learn(&mut costs, false, TRIALS, 500);
        assert!(!costs.is_local("k"), "the service is faster");
        learn(&mut costs, true, 1, 400);
        assert!(costs.is_local("k"), "it is no longer");
        costs.without_kernel.insert("k".into());
        assert!(!costs.is_local("k"));
    }
}
