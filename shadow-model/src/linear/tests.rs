//! Each form of the layer against candle's own product.

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::samples::normal;

fn numbers(products: Products) -> Numbers {
    Numbers { device: Device::Cpu, dtype: DType::F32, products }
}

fn worst(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

#[test]
fn every_form_gives_the_plain_product() {
    for (why, shape, inputs, outputs) in [
        ("one row", vec![1], 24, 10),
        ("rows and columns that fill no tile", vec![7], 33, 19),
        ("leading dimensions are kept", vec![2, 5], 384, 96),
        ("more rows than one block", vec![130], 300, 50),
        ("no rows", vec![0], 16, 8),
    ] {
        let weight = normal(&[outputs, inputs], 0.05);
        let bias = normal(&[outputs], 1.0);
        let x = normal(&[shape, vec![inputs]].concat(), 0.99);
        let layer = |products, bias: Option<&Tensor>| Linear::from_tensor(&weight, bias, &numbers(products)).unwrap();
        for bias in [None, Some(&bias)] {
            let plain = layer(Products::Plain, bias).forward_with(&x, Activation::Gelu).unwrap();
            for (products, most) in [(Products::Packed, 1e-5), (Products::Int8, 0.1)] {
                let other = layer(products, bias).forward_with(&x, Activation::Gelu).unwrap();
                assert_eq!(other.dims(), plain.dims(), "{why}, {products:?}");
                if plain.elem_count() > 0 {
                    let worst = worst(&other, &plain);
                    assert!(worst <= most, "{why}, {products:?}: off by {worst}");
                }
            }
        }
    }
}

#[test]
fn a_wrong_shape_is_an_error() {
    let weight = Tensor::zeros((4, 8), DType::F32, &Device::Cpu).unwrap();
    let x = Tensor::zeros((2, 7), DType::F32, &Device::Cpu).unwrap();
    for products in [Products::Plain, Products::Packed, Products::Int8] {
        assert!(Linear::from_tensor(&weight, None, &numbers(products)).unwrap().forward(&x).is_err(), "{products:?}");
    }
}
