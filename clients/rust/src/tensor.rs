/// The numbers of a tensor, in C order.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I32(Vec<i32>),
    I64(Vec<i64>),
}

/// A dense array in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Data,
}

impl Tensor {
    pub fn f32(data: Vec<f32>, shape: &[usize]) -> Self {
        Tensor { shape: shape.to_vec(), data: Data::F32(data) }
    }

    pub fn f64(data: Vec<f64>, shape: &[usize]) -> Self {
        Tensor { shape: shape.to_vec(), data: Data::F64(data) }
    }

    pub fn i32(data: Vec<i32>, shape: &[usize]) -> Self {
        Tensor { shape: shape.to_vec(), data: Data::I32(data) }
    }

    pub fn i64(data: Vec<i64>, shape: &[usize]) -> Self {
        Tensor { shape: shape.to_vec(), data: Data::I64(data) }
    }

    #[cfg_attr(not(feature = "local"), allow(dead_code))]
    pub(crate) fn dtype(&self) -> &'static str {
        match self.data {
            Data::F32(_) => "float32",
            Data::F64(_) => "float64",
            Data::I32(_) => "int32",
            Data::I64(_) => "int64",
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self.data {
            Data::F32(_) => "F32",
            Data::F64(_) => "F64",
            Data::I32(_) => "I32",
            Data::I64(_) => "I64",
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        match &self.data {
            Data::F32(own) => own.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::F64(own) => own.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::I32(own) => own.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::I64(own) => own.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    /// Results are float32 or float64.
    pub(crate) fn from_bytes(is_double: bool, shape: Vec<usize>, bytes: &[u8]) -> Self {
        let data = if is_double {
            Data::F64(bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect())
        } else {
            Data::F32(bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect())
        };
        Tensor { shape, data }
    }

    /// As float64.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(own) => own.iter().map(|x| *x as f64).collect(),
            Data::F64(own) => own.clone(),
            Data::I32(own) => own.iter().map(|x| *x as f64).collect(),
            Data::I64(own) => own.iter().map(|x| *x as f64).collect(),
        }
    }
}
