//! Portable kernels in this process (docs/kernel-abi.md).

use crate::numbers::{float, many, spelled};
use crate::{Data, Error, Inputs, Loss, Output, Problem, Tensor};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use wasmtime::{Engine, Instance, Linker, Memory, Module, Store, TypedFunc};

/// The version of the binary interface that this package understands.
pub const ABI: u64 = 1;

struct Array {
    name: String,
    axes: Vec<String>,
    dtype: String,
}

struct Manifest {
    all: Value,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
    is_double: bool,
}

type Shapes = Vec<Option<Vec<usize>>>;

/// A compiled kernel with one memory. It computes on one thread at a time; clone the loss and compile it again for others.
pub struct Kernel {
    manifest: Manifest,
    store: Store<()>,
    memory: Memory,
    run: TypedFunc<i32, f64>,
    prepare: TypedFunc<i32, i32>,
    input: TypedFunc<i32, i32>,
    output: TypedFunc<i32, i32>,
    addresses: [usize; 3],
    reduction: i32,
    is_each: bool,
    numbers: Vec<f64>,
    gradients: Vec<String>,
    hessians: Vec<String>,
    shapes: Shapes,
    inputs: Vec<usize>,
    outputs: Vec<(usize, Vec<usize>)>,
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn arrays(value: &Value) -> Vec<Array> {
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let array = |one: &Value| Array { name: text(one, "name"), axes: strings(&one["axes"]), dtype: text(one, "dtype") };
    value.as_array().into_iter().flatten().map(array).collect()
}

fn manifest_of(module: &[u8]) -> Result<Manifest, Error> {
    let text = section(module).ok_or_else(|| Error::KernelRejected("the module has no section lossd".into()))?;
    let all: Value = serde_json::from_slice(text).map_err(|error| Error::KernelRejected(error.to_string()))?;
    check_abi(all["abi"].as_u64().unwrap_or(0))?;
    let (inputs, outputs) = (arrays(&all["inputs"]), arrays(&all["outputs"]));
    let is_double = all["precision"] == "float64";
    Ok(Manifest { all, inputs, outputs, is_double })
}

fn check_abi(abi: u64) -> Result<(), Error> {
    if abi == ABI {
        return Ok(());
    }
    let remedy = if abi > ABI { "upgrade this crate: cargo update -p lossd" } else { "upgrade the service, or delete the cache" };
    Err(Error::Abi(format!("the kernel has ABI {abi}, this crate understands {ABI}; {remedy}")))
}

fn section(module: &[u8]) -> Option<&[u8]> {
    let mut at = 8;
    while at < module.len() {
        let kind = module[at];
        let (size, start) = leb(module, at + 1)?;
        at = start + size;
        if kind == 0 {
            let (length, name) = leb(module, start)?;
            if module.get(name..name + length)? == b"lossd" {
                return module.get(name + length..at);
            }
        }
    }
    None
}

fn leb(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return Some((value, at));
        }
    }
}

fn runtime(error: impl std::fmt::Display) -> Error {
    Error::Runtime(error.to_string())
}

impl Kernel {
    pub(crate) fn new(module: &[u8], loss: &Loss) -> Result<Self, Error> {
        let manifest = manifest_of(module)?;
        let engine = Engine::default();
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker.func_wrap("env", "sin", f64::sin).map_err(runtime)?;
        linker.func_wrap("env", "cos", f64::cos).map_err(runtime)?;
        let module = Module::new(&engine, module).map_err(runtime)?;
        let instance = linker.instantiate(&mut store, &module).map_err(runtime)?;
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| runtime("the module has no memory"))?;
        let address = |store: &mut Store<()>, instance: &Instance, name: &str| -> Result<usize, Error> {
            let function = instance.get_typed_func::<(), i32>(&mut *store, name).map_err(runtime)?;
            Ok(function.call(store, ()).map_err(runtime)? as u32 as usize)
        };
        let addresses = [
            address(&mut store, &instance, "lossd_sizes")?,
            address(&mut store, &instance, "lossd_params")?,
            address(&mut store, &instance, "lossd_result")?,
        ];
        let (reduction, numbers, gradients) = settings(&manifest, loss)?;
        let hessians = if loss.hessian { strings(&manifest.all["hessians"]) } else { vec![] };
        Ok(Kernel {
            run: instance.get_typed_func(&mut store, "lossd_run").map_err(runtime)?,
            prepare: instance.get_typed_func(&mut store, "lossd_prepare").map_err(runtime)?,
            input: instance.get_typed_func(&mut store, "lossd_input").map_err(runtime)?,
            output: instance.get_typed_func(&mut store, "lossd_output").map_err(runtime)?,
            is_each: loss.reduction == "none",
            shapes: vec![],
            inputs: vec![],
            outputs: vec![],
            manifest,
            store,
            memory,
            addresses,
            reduction,
            numbers,
            gradients,
            hessians,
        })
    }

    /// Computes the loss and its gradients.
    pub fn evaluate(&mut self, inputs: &Inputs) -> Result<Output, Error> {
        let tensors = self.ordered(inputs)?;
        self.check(&tensors)?;
        let shapes: Shapes = tensors.iter().map(|t| t.map(|t| t.shape.clone())).collect();
        if shapes != self.shapes {
            self.lay_out(&tensors, shapes)?;
        }
        for (place, tensor) in tensors.iter().enumerate() {
            if let Some(tensor) = tensor {
                let bytes = stored(&self.manifest.inputs[place], tensor)?;
                self.memory.write(&mut self.store, self.inputs[place], &bytes).map_err(runtime)?;
            }
        }
        let numbers: Vec<u8> = self.numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.memory.write(&mut self.store, self.addresses[1], &numbers).map_err(runtime)?;
        let value = self.run.call(&mut self.store, self.reduction).map_err(runtime)?;
        let data = self.memory.data(&self.store);
        let real = |at: usize| f64::from_le_bytes(data[self.addresses[2] + at..][..8].try_into().unwrap());
        let word = |at: usize| i32::from_le_bytes(data[self.addresses[2] + at..][..4].try_into().unwrap()) as u32 as usize;
        if word(24) != 0 {
            return Err(self.fault(word(24), word(28), word(32), &tensors).into());
        }
        let array = |name: &str| {
            let place = self.manifest.outputs.iter().position(|output| output.name == name).unwrap();
            let (at, shape) = &self.outputs[place];
            let bytes = shape.iter().product::<usize>() * if self.manifest.is_double { 8 } else { 4 };
            Tensor::from_bytes(self.manifest.is_double, shape.clone(), &data[*at..at + bytes])
        };
        let all = |names: &[String], kind: &str| names.iter().map(|name| (name.clone(), array(&format!("{kind}.{name}")))).collect();
        Ok(Output {
            loss: if self.is_each { f64::NAN } else { value },
            values: self.is_each.then(|| array("values")),
            gradients: all(&self.gradients, "gradients"),
            hessian: all(&self.hessians, "hessian"),
            is_local: true,
            denominator: real(8),
            count: real(16) as u64,
        })
    }

    fn ordered<'a>(&self, inputs: &'a Inputs) -> Result<Vec<Option<&'a Tensor>>, Problem> {
        let known = |name: &str| self.manifest.inputs.iter().any(|input| input.name == name);
        if let Some((name, _)) = inputs.iter().find(|(name, _)| !known(name)) {
            let loss = self.manifest.all["loss"].as_str().unwrap_or_default();
            return Err(Problem::at("unknown-name", &format!("/{name}"), format!("is not an input of {loss}")));
        }
        let find = |input: &Array| inputs.iter().find(|(name, _)| *name == input.name).map(|(_, tensor)| tensor);
        Ok(self.manifest.inputs.iter().map(find).collect())
    }

    /// What the service checks beside the numbers of inputs.
    fn check(&self, tensors: &[Option<&Tensor>]) -> Result<(), Problem> {
        for (input, tensor) in self.manifest.inputs.iter().zip(tensors) {
            let Some(tensor) = tensor else { continue };
            if self.rule(&input.name)["integers"] == true && matches!(tensor.data, Data::F32(_) | Data::F64(_)) {
                let detail = format!("class indices require an integer dtype, got {}", tensor.dtype());
                return Err(Problem::at("dtype-unsupported", &format!("/{}", input.name), detail));
            }
        }
        let reduction = self.manifest.all["reductions"][self.reduction as usize].as_str().unwrap_or_default();
        if tensors.last().is_some_and(Option::is_some) && !self.is_each {
            return Err(Problem::at("invalid-value", "/grad_output", format!("requires reduction none, got {reduction}")));
        }
        if tensors[tensors.len() - 2].is_some() && self.manifest.all["sampleWeight"] != true {
            let loss = self.manifest.all["loss"].as_str().unwrap_or_default();
            let detail = format!("cannot be applied: {loss} has one value for all rows; weight the rows in its formula, with an input for the weights");
            return Err(Problem::at("invalid-value", "/sample_weight", detail));
        }
        Ok(())
    }

    fn rule(&self, name: &str) -> &Value {
        self.manifest.all["checks"].as_array().into_iter().flatten().find(|rule| rule["name"] == name).unwrap_or(&Value::Null)
    }

    fn lay_out(&mut self, tensors: &[Option<&Tensor>], shapes: Shapes) -> Result<(), Error> {
        self.shapes = vec![];
        let (sizes, rest) = self.manifest.sizes(tensors)?;
        let words: Vec<u8> = strings(&self.manifest.all["sizes"])
            .iter()
            .flat_map(|name| (*sizes.get(name).unwrap_or(&1) as i32).to_le_bytes())
            .collect();
        self.memory.write(&mut self.store, self.addresses[0], &words).map_err(runtime)?;
        let given = |back: usize| i32::from(tensors[tensors.len() - back].is_some());
        let status = self.prepare.call(&mut self.store, given(2) + 2 * given(1)).map_err(runtime)?;
        if status != 0 {
            return Err(self.manifest.layout_problem(status, &sizes).into());
        }
        self.inputs.clear();
        for place in 0..tensors.len() {
            self.inputs.push(self.input.call(&mut self.store, place as i32).map_err(runtime)? as u32 as usize);
        }
        self.outputs.clear();
        for (place, output) in self.manifest.outputs.iter().enumerate() {
            let at = self.output.call(&mut self.store, place as i32).map_err(runtime)? as u32 as usize;
            self.outputs.push((at, shape_of(&output.axes, &sizes, &rest)));
        }
        self.shapes = shapes;
        Ok(())
    }

    /// The problem that the kernel has found, in the words of the service.
    fn fault(&self, status: usize, place: usize, element: usize, tensors: &[Option<&Tensor>]) -> Problem {
        let code = self.manifest.all["statuses"][status].as_str().unwrap_or_default();
        if code == "empty-batch" {
            let detail = "the mean over an empty batch is undefined; use sum or none, or send a denominator".into();
            return Problem { code: code.into(), detail, places: vec![], status: 422, retryable: false };
        }
        let name = &self.manifest.inputs[place].name;
        let (tensor, rule) = (tensors[place].unwrap(), self.rule(name));
        let (value, pointer) = (spelled(tensor, element), pointer_to(name, &tensor.shape, element));
        let hint = rule["outside"].as_str().map_or(String::new(), |text| format!("; {text}"));
        match code {
            "box-corners" => {
                let (far, near) = if element % 4 == 2 { ("x2", "x1") } else { ("y2", "y1") };
                let before = spelled(tensor, element - 2);
                Problem::at("invalid-value", &pointer, format!("{far} must be >= {near}, got {value} after {before}"))
            }
            "excepted-label" => Problem::at("label-out-of-range", &pointer, format!("must not be the blank, {}", rule["excepted"])),
            "invalid-value" => {
                let words = rule["words"].as_str().unwrap_or_default();
                Problem::at(code, &pointer, format!("{words}, got {value}{hint}"))
            }
            _ => {
                let indices = &rule["indices"];
                let offset = indices["offset"].as_i64().unwrap_or(0);
                let axis = indices["axis"].as_str().and_then(|axis| Some(self.manifest.sizes(tensors).ok()?.0[axis] as i64 + offset));
                let (low, high) = (if indices.is_null() { i64::from(i32::MIN) } else { 0 }, axis.unwrap_or(1 << 31));
                let exception = indices["ignored"].as_i64().map_or(String::new(), |label| format!(" (or {label}, which is ignored)"));
                Problem::at(code, &pointer, format!("must be an integer from {low} to {}{exception}, got {value}{hint}", high - 1))
            }
        }
    }
}

/// The place of the reduction, the parameters with the denominator, and the gradients.
fn settings(manifest: &Manifest, loss: &Loss) -> Result<(i32, Vec<f64>, Vec<String>), Error> {
    let reductions = strings(&manifest.all["reductions"]);
    let Some(reduction) = reductions.iter().position(|name| *name == loss.reduction) else {
        let words: Vec<_> = reductions.iter().map(|name| format!("{name:?}")).collect();
        let (last, others) = words.split_last().unwrap();
        let detail = format!("must be {} or {last}, got {:?}", others.join(", "), loss.reduction);
        return Err(Problem::at("invalid-value", "/reduction", detail).into());
    };
    let divides = matches!(loss.reduction.as_str(), "mean" | "weighted_mean" | "sum_by_nonzero_weights");
    if loss.denominator.is_some() && !divides {
        return Err(Problem::at("invalid-value", "/denominator", format!("requires reduction mean, got {}", loss.reduction)).into());
    }
    let mut numbers = vec![];
    for param in manifest.all["params"].as_array().into_iter().flatten() {
        let name = param["name"].as_str().unwrap_or_default();
        let schema = &manifest.all["schema"][name];
        let own = loss.params.get(name).or_else(|| schema.get("default").filter(|d| !d.is_null())).unwrap_or(&param["value"]);
        let value = match own.as_str() {
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            _ => own.as_f64().unwrap_or(f64::NAN),
        };
        check_number(name, schema, value, manifest.is_double)?;
        numbers.push(value);
    }
    numbers.push(loss.denominator.unwrap_or(f64::NAN));
    Ok((reduction as i32, numbers, loss.gradients.clone().unwrap_or_else(|| strings(&manifest.all["gradients"]))))
}

/// Words, truth values and integers are fixed in the kernel, so the service has checked them.
fn check_number(name: &str, schema: &Value, value: f64, is_double: bool) -> Result<(), Problem> {
    let pointer = format!("/params/{name}");
    let bounds: [(&str, &str, fn(f64, f64) -> bool); 4] = [
        ("exclusiveMinimum", ">", |x, limit| x > limit),
        ("minimum", ">=", |x, limit| x >= limit),
        ("exclusiveMaximum", "<", |x, limit| x < limit),
        ("maximum", "<=", |x, limit| x <= limit),
    ];
    let limits: Vec<_> = bounds.iter().filter_map(|(key, sign, holds)| Some((sign, schema[*key].as_f64()?, holds))).collect();
    if value.is_finite() && limits.iter().any(|(_, limit, holds)| !holds(value, *limit)) {
        let words: Vec<_> = limits.iter().map(|(sign, limit, _)| format!("{sign} {}", float(*limit))).collect();
        return Err(Problem::at("param-invalid", &pointer, format!("must be a number {}, got {}", words.join(" and "), float(value))));
    }
    let narrow = value as f32;
    let is_held = narrow.is_finite() || !value.is_finite();
    if is_double || (is_held && (narrow != 0.0 || value == 0.0)) {
        return Ok(());
    }
    Err(Problem::at("param-invalid", &pointer, format!("must fit into float32, got {}; or send float64 inputs", float(value))))
}

/// The bytes of an input as the kernel stores it.
fn stored(input: &Array, tensor: &Tensor) -> Result<Vec<u8>, Problem> {
    if tensor.dtype() == input.dtype {
        return Ok(tensor.bytes());
    }
    match (input.dtype.as_str(), &tensor.data) {
        ("float64", _) => Ok(tensor.to_f64().iter().flat_map(|x| x.to_le_bytes()).collect()),
        ("int32", Data::I64(own)) => {
            let narrow = own.iter().enumerate().map(|(element, x)| {
                i32::try_from(*x).map(i32::to_le_bytes).map_err(|_| {
                    let detail = format!("element {element} must be an integer from {} to {}, got {x}", i32::MIN, i32::MAX);
                    Problem::at("invalid-value", &format!("/{}", input.name), detail)
                })
            });
            Ok(narrow.collect::<Result<Vec<_>, _>>()?.concat())
        }
        _ => Ok(tensor.to_f64().iter().flat_map(|x| (*x as f32).to_le_bytes()).collect()),
    }
}

type Sizes = HashMap<String, usize>;

impl Manifest {
    /// The sizes of the axes, and of those that `...` stands for.
    fn sizes(&self, tensors: &[Option<&Tensor>]) -> Result<(Sizes, Vec<usize>), Problem> {
        let mut sizes: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        let mut rest: Option<(Vec<usize>, &str)> = None;
        let mismatch = |name: &str, detail: String| Err(Problem::at("shape-mismatch", &format!("/{name}"), detail));
        for (input, tensor) in self.inputs.iter().zip(tensors).take(self.inputs.len() - 2) {
            let Some(tensor) = tensor else { continue };
            if input.axes == ["...[-1]"] {
                continue;
            }
            let name = input.name.as_str();
            let width = tensor.shape.len() + 1 - input.axes.len();
            let mut place = 0;
            for axis in &input.axes {
                if axis == "..." {
                    let own = tensor.shape[place..place + width].to_vec();
                    place += width;
                    let (known, from) = rest.get_or_insert_with(|| (own.clone(), name));
                    if *known != own {
                        return mismatch(name, format!("has shape {own:?}, but {from} has {known:?}; inputs are not broadcast"));
                    }
                    continue;
                }
                let size = tensor.shape[place];
                place += 1;
                if axis.parse::<usize>().is_ok_and(|fixed| fixed != size) {
                    return mismatch(name, format!("has {} along an axis that must have {axis}", many(size, "elements")));
                }
                let (known, from) = *sizes.entry(axis).or_insert((size, name));
                if known != size {
                    return mismatch(name, format!("has {}, but {from} has {known}", along(axis, size)));
                }
            }
        }
        let rest = rest.map_or(vec![], |(shape, _)| shape);
        let mut found: Sizes = sizes.into_iter().map(|(axis, (size, _))| (axis.to_owned(), size)).collect();
        found.insert("...".into(), rest.iter().product());
        found.insert("...[0]".into(), *rest.first().unwrap_or(&1));
        found.insert("...[-1]".into(), *rest.last().unwrap_or(&1));
        self.check_others(tensors, &found, &rest)?;
        Ok((found, rest))
    }

    /// The inputs that give no axis its size.
    fn check_others(&self, tensors: &[Option<&Tensor>], sizes: &Sizes, rest: &[usize]) -> Result<(), Problem> {
        for (place, (input, tensor)) in self.inputs.iter().zip(tensors).enumerate() {
            let is_common = place + 2 >= self.inputs.len();
            let Some(tensor) = tensor.filter(|_| is_common || input.axes == ["...[-1]"]) else { continue };
            let wanted = shape_of(&input.axes, sizes, rest);
            if tensor.shape == wanted {
                continue;
            }
            let detail = if is_common {
                format!("must have shape {wanted:?}, got {:?}", tensor.shape)
            } else {
                let count = many(tensor.shape.iter().product(), "numbers");
                format!("requires shape {wanted:?}, the last axis of the others; got {count}")
            };
            return Err(Problem::at("shape-mismatch", &format!("/{}", input.name), detail));
        }
        Ok(())
    }

    fn layout_problem(&self, status: i32, sizes: &Sizes) -> Problem {
        let is_empty = |axis: &&String| sizes.get(*axis) == Some(&0);
        let empty = self.inputs.iter().find_map(|input| Some((input, input.axes.iter().find(is_empty)?)));
        match empty {
            Some((input, axis)) if status == 2 => {
                Problem::at("shape-mismatch", &format!("/{}", input.name), format!("the axis {axis} must not be empty"))
            }
            _ => {
                let detail = "a kernel has at most 4 GiB of memory; let the service compute it".into();
                Problem { code: "too-expensive".into(), detail, places: vec![], status: 422, retryable: false }
            }
        }
    }
}

fn shape_of(axes: &[String], sizes: &Sizes, rest: &[usize]) -> Vec<usize> {
    let sizes_of = |axis: &String| match axis.as_str() {
        "..." => rest.to_vec(),
        _ => vec![axis.parse().unwrap_or_else(|_| *sizes.get(axis).unwrap_or(&1))],
    };
    axes.iter().flat_map(sizes_of).collect()
}

fn along(axis: &str, size: usize) -> String {
    if axis.ends_with('s') {
        return many(size, axis);
    }
    format!("{size} along its axis {axis}")
}

fn pointer_to(name: &str, shape: &[usize], mut element: usize) -> String {
    let mut places = vec![];
    for size in shape.iter().rev() {
        places.push(format!("/{}", element % size));
        element /= size;
    }
    places.push(format!("/{name}"));
    places.reverse();
    places.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_to_install_for_another_abi() {
        assert!(matches!(check_abi(ABI + 1), Err(Error::Abi(why)) if why.contains("cargo update -p lossd")));
    }
}
