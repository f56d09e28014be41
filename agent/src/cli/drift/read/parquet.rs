//! Parquet: flat columns of numbers, truth values and text; uncompressed, Snappy or gzip.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::{Cell, Each, Table};

/// Rows that are decoded at a time, column by column.
const BATCH: usize = 4_096;

/// A Parquet file, read in batches of rows.
pub(super) struct Parquet {
    reader: SerializedFileReader<File>,
    file: String,
    names: Vec<String>,
    times: Vec<usize>,
    unusable: Vec<(String, String)>,
    /// Where each column stands in the file, and how its values are meant.
    columns: Vec<(usize, Scale)>,
    group: usize,
    open: Vec<ColumnReader>,
    left: usize,
    batch: Vec<Batch>,
    at: usize,
    filled: usize,
    row: usize,
}

/// What an integer stands for.
#[derive(Clone, Copy)]
enum Scale {
    Signed,
    Unsigned,
    /// Of a decimal: the power of ten below.
    Decimal(i32),
}

/// Decoded values of one column, and which rows have one.
#[derive(Default)]
struct Batch {
    levels: Vec<i16>,
    full: i16,
    values: Values,
    next: usize,
}

#[derive(Default)]
enum Values {
    #[default]
    None,
    Numbers(Vec<f64>),
    Truth(Vec<bool>),
    Texts(Vec<ByteArray>),
}

impl Parquet {
    pub(super) fn open(path: &Path, file: String) -> anyhow::Result<Self> {
        let opened = File::open(path).with_context(|| format!("{file} cannot be read"))?;
        let reader = SerializedFileReader::new(opened).map_err(|why| anyhow!("{file}: no good Parquet file: {why}"))?;
        let mut table = Self {
            file,
            names: Vec::new(),
            times: Vec::new(),
            unusable: Vec::new(),
            columns: Vec::new(),
            group: 0,
            open: Vec::new(),
            left: 0,
            batch: Vec::new(),
            at: 0,
            filled: 0,
            row: 0,
            reader,
        };
        let schema = table.reader.metadata().file_metadata().schema_descr_ptr();
        for (at, column) in schema.columns().iter().enumerate() {
            let name = column.path().string();
            match meaning(column) {
                Ok(scale) => {
                    if is_time(column) {
                        table.times.push(table.names.len());
                    }
                    table.names.push(name);
                    table.columns.push((at, scale));
                }
                Err(why) => table.unusable.push((name, why)),
            }
        }
        table.batch.resize_with(table.columns.len(), Batch::default);
        Ok(table)
    }

    fn wrong(&self, why: &parquet::errors::ParquetError) -> anyhow::Error {
        let file = &self.file;
        anyhow!("{file}: after row {}: {why} (compressions that are read: none, snappy, gzip)", self.row)
    }

    /// Decodes the next rows; `false` when there are none.
    fn refill(&mut self) -> anyhow::Result<bool> {
        while self.left == 0 {
            if self.group == self.reader.num_row_groups() {
                return Ok(false);
            }
            let opened = self.reader.get_row_group(self.group).and_then(|group| {
                let readers = self.columns.iter().map(|(at, _)| group.get_column_reader(*at));
                Ok((group.metadata().num_rows(), readers.collect::<Result<Vec<_>, _>>()?))
            });
            let (rows, readers) = opened.map_err(|why| self.wrong(&why))?;
            self.left = usize::try_from(rows).unwrap_or(0);
            self.open = readers;
            self.group += 1;
        }
        let rows = self.left.min(BATCH);
        for ((reader, batch), (at, scale)) in self.open.iter_mut().zip(&mut self.batch).zip(&self.columns) {
            let full = self.reader.metadata().file_metadata().schema_descr().column(*at).max_def_level();
            let decoded = decode(reader, rows, full, *scale);
            let file = &self.file;
            let (levels, values) = decoded.map_err(|why| {
                anyhow!("{file}: after row {}: {why} (compressions that are read: none, snappy, gzip)", self.row)
            })?;
            *batch = Batch { levels, full, values, next: 0 };
        }
        self.left -= rows;
        (self.at, self.filled) = (0, rows);
        Ok(true)
    }
}

impl Table for Parquet {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn times(&self) -> &[usize] {
        &self.times
    }

    fn unusable(&self) -> &[(String, String)] {
        &self.unusable
    }

    fn next(&mut self, each: &mut Each<'_>) -> anyhow::Result<bool> {
        if self.at == self.filled && !self.refill()? {
            return Ok(false);
        }
        self.row += 1;
        let row = self.at;
        self.at += 1;
        for (column, batch) in self.batch.iter_mut().enumerate() {
            let there = batch.full == 0 || batch.levels.get(row) == Some(&batch.full);
            let at = batch.next;
            batch.next += usize::from(there);
            let value = match &batch.values {
                _ if !there => Some(Cell::Missing),
                Values::Numbers(values) => values.get(at).map(|value| Cell::Number(*value)),
                Values::Truth(values) => values.get(at).map(|value| Cell::Text(if *value { "true" } else { "false" })),
                Values::Texts(values) => match values.get(at).map(ByteArray::as_utf8) {
                    Some(Ok("")) => Some(Cell::Missing),
                    Some(Ok(text)) => Some(Cell::Text(text)),
                    Some(Err(_)) => {
                        let (file, name) = (&self.file, &self.names[column]);
                        anyhow::bail!("{file}: row {}: column {name:?} is not UTF-8 text", self.row);
                    }
                    None => None,
                },
                Values::None => None,
            };
            let missing = || anyhow!("{}: row {}: column {:?} ends early", self.file, self.row, self.names[column]);
            each(column, value.ok_or_else(missing)?)?;
        }
        Ok(true)
    }

    fn place(&self) -> String {
        format!("{}: row {}", self.file, self.row)
    }
}

/// How a column's values are read, or why they are not.
fn meaning(column: &ColumnDescriptor) -> Result<Scale, String> {
    if column.max_rep_level() > 0 {
        return Err("a list; one value a row is wanted".into());
    }
    let unsigned = matches!(column.converted_type(), ConvertedType::UINT_32 | ConvertedType::UINT_64);
    match column.physical_type() {
        Type::INT32 | Type::INT64 if column.converted_type() == ConvertedType::DECIMAL => {
            Ok(Scale::Decimal(column.type_scale()))
        }
        Type::BYTE_ARRAY if column.converted_type() == ConvertedType::DECIMAL => {
            Err("a decimal stored as bytes".into())
        }
        Type::INT96 | Type::FIXED_LEN_BYTE_ARRAY => Err(format!("values of type {}", column.physical_type())),
        _ => Ok(if unsigned { Scale::Unsigned } else { Scale::Signed }),
    }
}

fn is_time(column: &ColumnDescriptor) -> bool {
    use ConvertedType as C;
    let logical =
        matches!(column.logical_type_ref(), Some(LogicalType::Timestamp(_) | LogicalType::Date | LogicalType::Time(_)));
    let kinds = [C::DATE, C::TIME_MILLIS, C::TIME_MICROS, C::TIMESTAMP_MILLIS, C::TIMESTAMP_MICROS];
    logical || kinds.contains(&column.converted_type())
}

/// The next `rows` rows of one column: definition levels (none where a value is required) and the values that are there.
fn decode(
    reader: &mut ColumnReader,
    rows: usize,
    full: i16,
    scale: Scale,
) -> Result<(Vec<i16>, Values), parquet::errors::ParquetError> {
    let mut levels = Vec::new();
    macro_rules! read {
        ($reader:expr) => {{
            let mut values = Vec::new();
            let mut got = 0;
            while got < rows {
                let wanted = if full > 0 { Some(&mut levels) } else { None };
                let (records, _, _) = $reader.read_records(rows - got, wanted, None, &mut values)?;
                if records == 0 {
                    break;
                }
                got += records;
            }
            values
        }};
    }
    let values = match reader {
        ColumnReader::BoolColumnReader(reader) => Values::Truth(read!(reader)),
        ColumnReader::Int32ColumnReader(reader) => {
            let whole = |value: i32| match scale {
                Scale::Unsigned => f64::from(value as u32),
                Scale::Signed => f64::from(value),
                Scale::Decimal(below) => f64::from(value) / 10_f64.powi(below),
            };
            Values::Numbers(read!(reader).into_iter().map(whole).collect())
        }
        ColumnReader::Int64ColumnReader(reader) => {
            let whole = |value: i64| match scale {
                Scale::Unsigned => value as u64 as f64,
                Scale::Signed => value as f64,
                Scale::Decimal(below) => value as f64 / 10_f64.powi(below),
            };
            Values::Numbers(read!(reader).into_iter().map(whole).collect())
        }
        ColumnReader::FloatColumnReader(reader) => Values::Numbers(read!(reader).into_iter().map(f64::from).collect()),
        ColumnReader::DoubleColumnReader(reader) => Values::Numbers(read!(reader)),
        ColumnReader::ByteArrayColumnReader(reader) => Values::Texts(read!(reader)),
        ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => Values::None,
    };
    Ok((levels, values))
}
