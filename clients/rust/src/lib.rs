//! Loss functions with exact gradients: computed by a lossd service or, with the feature `local`, by its kernels in this
//! process.
//!
//! ```no_run
//! use lossd::{Client, Loss, Tensor};
//! let client = Client::new("http://localhost:8080");
//! let huber = Loss::new("huber").param("delta", 2.0);
//! let inputs = [("predictions", Tensor::f32(vec![1.0, 5.0], &[2])), ("targets", Tensor::f32(vec![1.0, 2.0], &[2]))];
//! let result = huber.remote(&client, &inputs)?;
//! # Ok::<(), lossd::Error>(())
//! ```

#[cfg(feature = "local")]
mod auto;
mod client;
mod error;
#[cfg(feature = "local")]
mod kernel;
#[cfg_attr(not(feature = "local"), allow(dead_code))]
mod numbers;
mod tensor;
pub mod trace;

#[cfg(feature = "local")]
pub use auto::Auto;
pub use client::Client;
pub use error::{Error, Place, Problem};
#[cfg(feature = "local")]
pub use kernel::{Kernel, ABI};
pub use tensor::{Data, Tensor};

use serde_json::{json, Map, Value};
use std::collections::BTreeMap;

/// The version of this package, which is that of the service it was published with.
pub const VERSION: &str = "0.1.0";

/// Inputs by name, with `sample_weight` and `grad_output` among them.
pub type Inputs<'a> = [(&'a str, Tensor)];

/// What a loss computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// NaN with the reduction `none`, whose results are the `values`.
    pub loss: f64,
    pub values: Option<Tensor>,
    pub gradients: BTreeMap<String, Tensor>,
    /// The diagonals of the second derivatives, if they were asked for.
    pub hessian: BTreeMap<String, Tensor>,
    /// What the sum was divided by.
    pub denominator: f64,
    /// How many values count.
    pub count: u64,
    /// Whether it was computed in this process.
    pub is_local: bool,
}

/// A loss of the catalog, a registered one, or a formula.
#[derive(Debug, Clone)]
pub struct Loss {
    pub(crate) name: Option<String>,
    pub(crate) inline: Map<String, Value>,
    pub(crate) params: Map<String, Value>,
    pub(crate) reduction: String,
    pub(crate) gradients: Option<Vec<String>>,
    pub(crate) hessian: bool,
    pub(crate) denominator: Option<f64>,
}

impl Loss {
    /// A loss by its name: `huber`, or `acme/robust@2`.
    pub fn new(name: &str) -> Self {
        let name = Some(name.to_owned());
        let (inline, params) = (Map::new(), Map::new());
        Loss { name, inline, params, reduction: "mean".into(), gradients: None, hessian: false, denominator: None }
    }

    /// A loss in the formula language.
    pub fn formula(formula: &str) -> Self {
        let mut loss = Loss { name: None, ..Loss::new("") };
        loss.inline.insert("formula".into(), json!(formula));
        loss
    }

    /// Sets a parameter: a number, a truth value or a word.
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// `mean` (the default), `sum`, `none`, `batchmean`, `weighted_mean` or `sum_by_nonzero_weights`.
    pub fn reduction(mut self, reduction: &str) -> Self {
        self.reduction = reduction.into();
        self
    }

    /// The inputs that are differentiated; by default all that can be.
    pub fn gradients(mut self, names: &[&str]) -> Self {
        self.gradients = Some(names.iter().map(|name| name.to_string()).collect());
        self
    }

    /// Also computes the diagonal of the second derivative.
    pub fn hessian(mut self) -> Self {
        self.hessian = true;
        self
    }

    /// Replaces the denominator of the mean.
    pub fn denominator(mut self, denominator: f64) -> Self {
        self.denominator = Some(denominator);
        self
    }

    /// Computes in the service.
    pub fn remote(&self, client: &Client, inputs: &Inputs) -> Result<Output, Error> {
        client.evaluate(self, inputs)
    }

    /// The kernel for inputs like these: of their dtypes and numbers of axes. It is fetched once and kept on disk.
    #[cfg(feature = "local")]
    pub fn compile(&self, client: &Client, inputs: &Inputs) -> Result<Kernel, Error> {
        Kernel::new(&client.kernel(self, inputs)?, self)
    }
}
