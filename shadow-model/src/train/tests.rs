//! The trainer against PEFT and torch, by the numbers that tests/golden/train/adapters.py writes.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use super::examples::packed;
use super::model::Model;
use super::optimiser::{AdamW, clip};
use super::recipe::{Method, Recipe, Recompute, Schedule};
use super::trainer::derivatives;
use super::*;
use crate::decoder::tests::{cpu, golden};
use crate::decoder::{Checkpoint, Decoder, Head};
use crate::numbers::Products;
use crate::peft::Adapter;
use crate::{Options, Weights};

const MODELS: [&str; 3] = ["llama3", "qwen2", "qwen3"];
const FORMS: [&str; 3] = ["lora", "rslora", "dora"];

/// A folder or file of tests/golden/train.
pub(crate) fn trained(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/train")).join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(trained(name)).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn example(ids: Vec<u32>, begin: usize) -> Example {
    let answer = begin..ids.len();
    Example::new(ids, vec![answer])
}

/// A recipe of the golden adapters' form.
fn recipe(form: &str) -> Recipe {
    let targets = crate::decoder::Part::ALL.iter().map(|part| part.name().to_owned()).collect();
    let (rslora, dora) = (form == "rslora", form == "dora");
    Recipe {
        method: Method::Lora { rank: 2, alpha: 6.0, targets, dropout: 0.0, rslora, dora },
        weight_decay: 0.01,
        learning_rate: 5e-3,
        warmup: 10.0,
        schedule: Schedule::Cosine,
        ..Recipe::default()
    }
}

fn checkpoint(name: &str, adapter: Option<PathBuf>) -> Checkpoint {
    Checkpoint::open(&golden(name), &Options { adapter, ..cpu() }).unwrap()
}

fn model(name: &str, recipe: &Recipe, from: Option<&str>) -> Model {
    let mut checkpoint = checkpoint(name, None);
    checkpoint.numbers.products = Products::Plain;
    let adapter = from.map(|from| Adapter::read(&trained(from), &checkpoint.config).unwrap());
    Model::load(&checkpoint, recipe, adapter.as_ref(), None).unwrap()
}

#[test]
fn merged_adapters_give_the_logits_of_peft() {
    let expected = json("logits.json");
    let text = ids(&expected["ids"][0]);
    for name in MODELS {
        for form in FORMS {
            let checkpoint = checkpoint(name, Some(trained(&format!("{name}-{form}"))));
            let decoder = Decoder::load(&checkpoint).unwrap();
            let head = Head::load(&checkpoint, decoder.embeddings()).unwrap();
            let mut batch = crate::decoder::Batch::default();
            batch.add(&text, None);
            let last = decoder.rows(&batch, &[text.len() - 1]).unwrap();
            let logits = head.logits(&last).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let wanted = expected["logits"][format!("{name}-{form}")][0].as_array().unwrap();
            let apart = |(&a, b): (&f32, &Value)| (f64::from(a) - b.as_f64().unwrap()).abs();
            let largest = logits.iter().zip(wanted).map(apart).fold(0.0, f64::max);
            println!("{name} {form}: logits within {largest:.1e}");
            assert!(wanted.len() == logits.len() && largest <= 1e-4, "{name} {form}: {largest}");
        }
    }
}

#[test]
fn derivatives_are_those_of_torch() {
    let texts: Vec<Example> =
        json("logits.json")["ids"].as_array().unwrap().iter().map(|text| example(ids(text), 5)).collect();
    for name in MODELS {
        for form in FORMS {
            let folder = format!("{name}-{form}");
            let file = trained(&folder).join("gradients.safetensors");
            let wanted = Weights::of_files(&trained(&folder), vec![file.clone()]).unwrap();
            for recompute in [Recompute::AsNeeded, Recompute::Always] {
                let model = model(name, &Recipe { recompute, ..recipe(form) }, Some(&folder));
                // in two passes, so that their sum is weighted by answer tokens
                let passes = vec![vec![&texts[0], &texts[1]], vec![&texts[2]]];
                let (_, found) = derivatives(&model, &passes, None).unwrap();
                let (mut compared, mut worst) = (0, 0.0_f64);
                for (parameter, found) in model.parameters.all.iter().zip(found) {
                    let shape = parameter.value.as_tensor().dims();
                    if !parameter.name.contains(".layers.0.") {
                        continue;
                    }
                    let wanted = wanted.tensor(&parameter.name, shape, DType::F32, &Device::Cpu).unwrap();
                    let found = Tensor::from_vec(found.unwrap(), shape, &Device::Cpu).unwrap();
                    let size = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
                    worst = worst.max(f64::from(size(&(found - &wanted).unwrap()) / size(&wanted)));
                    compared += 1;
                }
                println!("{folder} {recompute:?}: {compared} derivatives within {worst:.1e}");
                assert!(compared == wanted.shapes().count() && worst <= 1e-3, "{folder}: {compared} {worst}");
            }
        }
    }
}

#[test]
fn two_hundred_steps_have_the_losses_of_peft_and_torch() {
    let expected = json("curves.json");
    let texts: Vec<Example> = (expected["texts"].as_array().unwrap().iter())
        .map(|text| example(ids(&text["ids"]), text["begin"].as_u64().unwrap() as usize))
        .collect();
    for (name, form) in [("llama3", "lora"), ("qwen2", "rslora"), ("qwen3", "dora")] {
        let recipe = recipe(form);
        let mut model = model(name, &recipe, Some(&format!("{name}-begin")));
        let mut optimiser = AdamW::new(&model.parameters);
        let wanted = expected["losses"][format!("{name}-{form}")].as_array().unwrap();
        assert_eq!(wanted.len(), 200);
        let mut worst = 0.0_f64;
        for (step, wanted) in wanted.iter().enumerate() {
            // one after another: two texts a step as two passes
            let batch = vec![vec![&texts[2 * step % 12]], vec![&texts[(2 * step + 1) % 12]]];
            let (loss, mut asked) = derivatives(&model, &batch, None).unwrap();
            clip(&mut asked, 1.0);
            optimiser.step(&model.parameters, &asked, recipe.rate(step, 200), &recipe).unwrap();
            model.refresh().unwrap();
            worst = worst.max((loss / wanted.as_f64().unwrap() - 1.0).abs());
        }
        println!("{name} {form}: each of 200 losses within {:.3} %", 100.0 * worst);
        assert!(worst <= 0.01, "{name} {form}: {worst}");
    }
}

/// What every number of a model asks for is seen by moving it a little both ways.
#[test]
fn full_derivatives_are_those_of_differences() {
    let texts = [example((1..30).collect(), 3), example((40..52).collect(), 2)];
    let passes = vec![texts.iter().collect::<Vec<_>>()];
    for name in MODELS {
        let model = model(name, &Recipe { method: Method::Full, ..Recipe::default() }, None);
        let (_, found) = derivatives(&model, &passes, None).unwrap();
        for (slot, found) in found.into_iter().enumerate() {
            let parameter = &model.parameters.all[slot];
            let (found, numbers) =
                (found.unwrap(), parameter.value.as_tensor().flatten_all().unwrap().to_vec1::<f32>().unwrap());
            // along the derivative itself: one difference for all of its numbers
            let size = found.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let at = |step: f64| {
                let moved = numbers.iter().zip(&found).map(|(x, g)| x + (step * f64::from(*g) / size) as f32).collect();
                model.parameters.set(slot, moved).unwrap();
                derivatives(&model, &passes, None).unwrap().0
            };
            let step = 2e-2;
            let slope = (at(step) - at(-step)) / (2.0 * step);
            model.parameters.set(slot, numbers).unwrap();
            assert!((slope / size - 1.0).abs() < 2e-2, "{name} {}: {slope} {size}", parameter.name);
        }
    }
}

#[test]
fn texts_of_one_pass_do_not_see_each_other() {
    let texts = [example((1..30).collect(), 3), example((40..52).collect(), 2), example((3..60).collect(), 7)];
    let model = model("qwen3", &recipe("dora"), Some("qwen3-dora"));
    let together = derivatives(&model, &[texts.iter().collect()], None).unwrap();
    let apart = derivatives(&model, &texts.iter().map(|text| vec![text]).collect::<Vec<_>>(), None).unwrap();
    assert!((together.0 - apart.0).abs() < 1e-6, "{} {}", together.0, apart.0);
    for (a, b) in together.1.iter().flatten().zip(apart.1.iter().flatten()) {
        let (largest, size) =
            a.iter().zip(b).fold((0.0_f32, 0.0_f32), |(d, s), (a, b)| (d.max((a - b).abs()), s.max(b.abs())));
        assert!(largest <= 1e-4 * size.max(1e-3), "{largest} {size}");
    }
}

#[test]
fn what_is_dropped_is_drawn_again_the_same_and_changes_with_the_step() {
    let dropping = |form: &str, recompute| {
        let mut recipe = Recipe { recompute, ..recipe(form) };
        if let Method::Lora { dropout, .. } = &mut recipe.method {
            *dropout = 0.3;
        }
        recipe
    };
    let text = example((1..60).collect(), 3);
    for form in ["lora", "dora"] {
        let kept = model("qwen2", &dropping(form, Recompute::AsNeeded), Some(&format!("qwen2-{form}")));
        let again = model("qwen2", &dropping(form, Recompute::Always), Some(&format!("qwen2-{form}")));
        let at = |model: &Model, step| derivatives(model, &[vec![&text]], Some((5, step))).unwrap();
        assert_eq!(at(&kept, 3), at(&again, 3), "{form}");
        assert_ne!(at(&kept, 3).0, at(&kept, 4).0, "{form}");
        // the derivative of what was dropped: by differences along it, with the same numbers dropped
        let (_, asked) = at(&kept, 3);
        let slot = kept.parameters.all.iter().position(|parameter| parameter.name.contains("lora_A")).unwrap();
        let found = asked[slot].clone().unwrap();
        let size = found.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let numbers = kept.parameters.all[slot].value.as_tensor().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mut sides = [0.0; 2];
        for (side, step) in sides.iter_mut().zip([1e-2, -1e-2]) {
            let moved = numbers.iter().zip(&found).map(|(x, g)| x + (step * f64::from(*g) / size) as f32).collect();
            kept.parameters.set(slot, moved).unwrap();
            *side = at(&kept, 3).0;
        }
        let slope = (sides[0] - sides[1]) / 2e-2;
        // DoRA's norms are constants to the derivative and were not drawn anew here
        assert!((slope / size - 1.0).abs() < 2e-2, "{form}: {slope} {size}");
    }
}

#[test]
fn packed_rows_are_read_as_the_scorer_reads_them() {
    let scorer = crate::Scorer::open(&golden("qwen3"), &cpu()).unwrap();
    let text = example((1..40).collect(), 4);
    let model = model("qwen3", &recipe("lora"), None);
    let (batch, targets) = packed([&text].into_iter());
    let wanted: f64 = scorer.nll(&batch, &targets).unwrap().into_iter().map(f64::from).sum();
    let found = derivatives(&model, &[vec![&text]], None).unwrap().0 * targets.len() as f64;
    assert!((found / wanted - 1.0).abs() < 1e-5, "{found} {wanted}");
}

/// Loss and derivatives in numbers of a type, as one list.
fn in_numbers(name: &str, form: &str, dtype: DType, passes: &[Vec<&Example>]) -> (f64, Vec<f32>) {
    let mut checkpoint = checkpoint(name, None);
    (checkpoint.numbers.products, checkpoint.numbers.dtype) = (Products::Plain, dtype);
    let adapter = Adapter::read(&trained(&format!("{name}-{form}")), &checkpoint.config).unwrap();
    let model = Model::load(&checkpoint, &recipe(form), Some(&adapter), None).unwrap();
    let (loss, asked) = derivatives(&model, passes, None).unwrap();
    (loss, asked.into_iter().flatten().flatten().collect())
}

/// What a GPU computes, on the CPU: none of the CPU's own operations applies to halves. F16 tells a wrong derivative from a
/// rounded one; bf16, which GPUs train in, has 3 bits less, and these random weights are wide.
#[test]
fn the_form_for_gpus_has_the_same_derivatives_within_its_numbers() {
    let texts = [example((1..50).collect(), 3), example((40..52).collect(), 2)];
    let passes = [texts.iter().collect::<Vec<_>>()];
    for (name, form) in [("llama3", "lora"), ("qwen2", "rslora"), ("qwen3", "dora")] {
        let (loss, wanted) = in_numbers(name, form, DType::F32, &passes);
        for (dtype, most) in [(DType::F16, 0.03), (DType::BF16, 0.2)] {
            let (half, found) = in_numbers(name, form, dtype, &passes);
            let size =
                |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let apart = size(&mut wanted.iter().zip(&found).map(|(a, b)| a - b)) / size(&mut wanted.iter().copied());
            println!(
                "{name} {form} in {dtype:?}: loss within {:.1e}, derivatives within {apart:.1e}",
                (half / loss - 1.0).abs()
            );
            assert!(wanted.len() == found.len() && (half / loss - 1.0).abs() < 0.02 && apart < most, "{name}: {apart}");
        }
    }
}

/// Weights that are stored in bf16 stay so, and widening them as they are used changes no bit.
#[test]
fn frozen_weights_stay_as_they_are_stored() {
    let texts = [example((1..50).collect(), 3), example((40..52).collect(), 2)];
    let passes = [texts.iter().collect::<Vec<_>>()];
    let folders = [DType::BF16, DType::F32].map(|dtype| {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(golden("qwen3")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let file = folder.path().join("model.safetensors");
        let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap().into_iter();
        let rounded = |tensor: Tensor| tensor.to_dtype(DType::BF16).unwrap().to_dtype(dtype).unwrap();
        let tensors = tensors.map(|(name, tensor)| (name, rounded(tensor))).collect();
        candle_core::safetensors::save(&tensors, &file).unwrap();
        folder
    });
    for form in FORMS {
        let [narrow, wide] = folders.each_ref().map(|folder| {
            let mut checkpoint = Checkpoint::open(folder.path(), &cpu()).unwrap();
            checkpoint.numbers.products = Products::Plain;
            let adapter = Adapter::read(&trained(&format!("qwen3-{form}")), &checkpoint.config).unwrap();
            let model = Model::load(&checkpoint, &recipe(form), Some(&adapter), None).unwrap();
            let (loss, asked) = derivatives(&model, &passes, None).unwrap();
            let bits: Vec<u32> = asked.into_iter().flatten().flatten().map(f32::to_bits).collect();
            ((loss.to_bits(), bits), checkpoint.frozen_bytes())
        });
        assert!(narrow.0 == wide.0, "{form}");
        assert!(narrow.1 < wide.1, "{form}: {} {}", narrow.1, wide.1);
    }
}
