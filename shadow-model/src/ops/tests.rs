//! The CPU's forms against candle's.

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::Tokens;
use crate::activation::Activation;
use crate::linear::Linear;
use crate::numbers::{Numbers, Products};

fn numbers(products: Products) -> Numbers {
    Numbers { device: Device::Cpu, dtype: DType::F32, products }
}

fn random(shape: &[usize]) -> Tensor {
    crate::samples::normal(shape, 1.0)
}

fn worst(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

#[test]
fn packed_attention_is_the_padded_one_without_padding() {
    for (why, lengths, heads, depth) in [
        ("one token", vec![1], 2, 8),
        ("texts of several lengths", vec![5, 1, 17, 8], 12, 32),
        ("longer than a block", vec![150, 64, 65], 3, 20),
    ] {
        let texts: Vec<Tokens> = lengths.iter().map(|&length| vec![1; length]).collect();
        let texts: Vec<&Tokens> = texts.iter().collect();
        let (packed, padded) = (Batch::packed(&texts), Batch::padded(&texts));
        let qkv = random(&[packed.rows(), 3 * heads * depth]);
        let spread = random(&[padded.rows(), 3 * heads * depth]);
        let spread = packed.spans.iter().zip(&padded.spans).fold(spread, |all, (from, to)| {
            let rows = qkv.narrow(0, from.start, from.len()).unwrap();
            all.slice_assign(&[to.clone(), 0..3 * heads * depth], &rows).unwrap()
        });
        let mask = padded.mask(DType::F32, &Device::Cpu).unwrap();
        let ours = attention(&qkv, heads, &packed, None).unwrap();
        let theirs = attention(&spread, heads, &padded, mask.as_ref()).unwrap();
        for (from, to) in packed.spans.iter().zip(&padded.spans) {
            let (ours, theirs) = (ours.narrow(0, from.start, from.len()), theirs.narrow(0, to.start, to.len()));
            let worst = worst(&ours.unwrap(), &theirs.unwrap());
            assert!(worst < 1e-5, "{why}: off by {worst}");
        }
    }
}

#[test]
fn norm_is_candle_s() {
    for (rows, width) in [(1, 4), (5, 384), (200, 33)] {
        let (x, residual) = (random(&[rows, width]), crate::samples::normal(&[rows, width], 0.5));
        let (weight, bias) = (random(&[width]), crate::samples::normal(&[width], 0.5));
        let norm = |products| Norm::from_tensors(weight.clone(), bias.clone(), 1e-5, &numbers(products)).unwrap();
        let (plain, ours) = (norm(Products::Plain), norm(Products::Packed));
        assert!(worst(&ours.of(&x).unwrap(), &plain.of(&x).unwrap()) < 1e-5, "{rows} x {width}");
        let (ours, theirs) = (ours.of_sum(&x, &residual).unwrap(), plain.of_sum(&x, &residual).unwrap());
        assert!(worst(&ours, &theirs) < 1e-5, "{rows} x {width}, a sum");
    }
}

#[test]
fn feed_forward_is_two_layers() {
    let (up, up_bias, down) = (random(&[48, 32]), random(&[48]), random(&[20, 48]));
    for (rows, activation) in [(1, Activation::Gelu), (130, Activation::GeluTanh), (7, Activation::Relu)] {
        let x = random(&[rows, 32]);
        let of = |products| {
            let up = Linear::from_tensor(&up, Some(&up_bias), &numbers(products)).unwrap();
            let down = Linear::from_tensor(&down, None, &numbers(products)).unwrap();
            feed_forward(&x, &up, &down, activation).unwrap()
        };
        let worst = worst(&of(Products::Packed), &of(Products::Plain));
        assert!(worst < 2e-4, "{rows} rows, {activation:?}: off by {worst}");
    }
}

#[test]
fn activations_are_exact_to_a_millionth() {
    let x: Vec<f32> = (-6000..=6000).map(|step| step as f32 / 1000.0).collect();
    let tensor = Tensor::new(x.as_slice(), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
    for (activation, most) in
        [(Activation::Gelu, 1e-6), (Activation::GeluTanh, 1e-6), (Activation::Relu, 0.0), (Activation::Silu, 1e-6)]
    {
        let mut ours = x.clone();
        activation.apply(&mut ours);
        let exact = activation.of(&tensor).unwrap().to_vec1::<f64>().unwrap();
        let worst = ours.iter().zip(&exact).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(worst <= most, "{activation:?}: off by {worst:e}");
    }
}
