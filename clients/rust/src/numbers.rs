//! Numbers and counts as the messages of the service spell them, which are those of JavaScript.

use crate::{Data, Tensor};

pub(crate) fn spelled(tensor: &Tensor, element: usize) -> String {
    match &tensor.data {
        Data::F32(own) => number(&format!("{:e}", own[element].abs()), own[element] as f64),
        Data::F64(own) => number(&format!("{:e}", own[element].abs()), own[element]),
        Data::I32(own) => own[element].to_string(),
        Data::I64(own) => own[element].to_string(),
    }
}

pub(crate) fn float(value: f64) -> String {
    number(&format!("{:e}", value.abs()), value)
}

fn number(scientific: &str, value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}Infinity");
    }
    if value == 0.0 {
        return "0".into();
    }
    let (mantissa, power) = scientific.split_once('e').unwrap();
    let (digits, exponent) = (mantissa.replace('.', ""), power.parse::<i32>().unwrap());
    format!("{sign}{}", placed(&digits, exponent))
}

/// Digits with their point, or with an exponent where that is shorter.
fn placed(digits: &str, exponent: i32) -> String {
    if !(-6..21).contains(&exponent) {
        let point = if digits.len() > 1 { format!("{}.{}", &digits[..1], &digits[1..]) } else { digits.into() };
        return format!("{point}e{}{}", if exponent > 0 { '+' } else { '-' }, exponent.abs());
    }
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

/// `1 class`, `2 elements`.
pub(crate) fn many(count: usize, things: &str) -> String {
    let one = if things.ends_with("sses") || things.ends_with("xes") {
        &things[..things.len() - 2]
    } else {
        things.strip_suffix('s').filter(|rest| !rest.ends_with('s')).unwrap_or(things)
    };
    format!("{count} {}", if count == 1 { one } else { things })
}
