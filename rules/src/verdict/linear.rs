//! Small dense matrices: the inverse that Newton's steps and sandwich errors need.

/// The inverse of a square matrix by Gauss and Jordan with row pivots; `None` where it is singular or not finite.
pub(super) fn inverse(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let n = matrix.len();
    let unit = |row: usize| (0..n).map(move |column| f64::from(u8::from(row == column)));
    let mut rows: Vec<Vec<f64>> =
        matrix.iter().enumerate().map(|(at, row)| row.iter().copied().chain(unit(at)).collect()).collect();
    for at in 0..n {
        let pivot = (at..n).max_by(|a, b| rows[*a][at].abs().total_cmp(&rows[*b][at].abs()))?;
        rows.swap(at, pivot);
        let lead = rows[at][at];
        if !(lead.abs() > f64::MIN_POSITIVE && lead.is_finite()) {
            return None;
        }
        rows[at].iter_mut().for_each(|value| *value /= lead);
        let used = rows[at].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(other, _)| *other != at) {
            let factor = row[at];
            row.iter_mut().zip(&used).for_each(|(value, used)| *value -= factor * used);
        }
    }
    let inverse: Vec<Vec<f64>> = rows.into_iter().map(|row| row[n..].to_vec()).collect();
    inverse.iter().flatten().all(|value| value.is_finite()).then_some(inverse)
}

/// `matrix · vector`.
pub(super) fn times(matrix: &[Vec<f64>], vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
}

/// `1 / (1 + exp(-x))`, without overflow.
pub(super) fn logistic(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_undoes_and_a_singular_matrix_has_none() {
        let matrix = vec![vec![0.0, 2.0], vec![4.0, 1.0]];
        let back = times(&inverse(&matrix).unwrap(), &times(&matrix, &[3.0, -1.0]));
        assert!((back[0] - 3.0).abs() < 1e-14 && (back[1] + 1.0).abs() < 1e-14);
        assert_eq!(inverse(&[vec![1.0, 1.0], vec![1.0, 1.0]]), None);
        assert_eq!(inverse(&[vec![f64::NAN]]), None);
        assert_eq!((logistic(800.0), logistic(-800.0), logistic(0.0)), (1.0, 0.0, 0.5));
    }
}
