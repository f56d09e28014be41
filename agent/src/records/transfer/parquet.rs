//! A batch of rows as a Parquet file, and back: flat, every column optional, times in milliseconds, Snappy.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::tables::{Batch, Kind, Table, Values};

/// The file of a batch.
pub(crate) fn write(batch: &Batch) -> anyhow::Result<Vec<u8>> {
    let schema = Arc::new(parse_message_type(&message(batch.table()))?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for values in &batch.columns {
        let bytes = |value: &[u8]| ByteArray::from(value.to_vec());
        match values {
            Values::Text(all) => column::<ByteArrayType, _>(&mut group, all, |text| bytes(text.as_bytes()))?,
            Values::Integer(all) => column::<Int64Type, _>(&mut group, all, |number| *number)?,
            Values::Real(all) => column::<DoubleType, _>(&mut group, all, |number| *number)?,
            Values::Bytes(all) => column::<ByteArrayType, _>(&mut group, all, |value| bytes(value))?,
        }
    }
    group.close()?;
    Ok(writer.into_inner()?)
}

/// The schema in Parquet's own notation.
fn message(table: &Table) -> String {
    let mut text = format!("message {} {{\n", table.name);
    for (name, kind) in table.columns {
        let kind = match kind {
            Kind::Text => ("BYTE_ARRAY", " (UTF8)"),
            Kind::Integer => ("INT64", ""),
            Kind::Time => ("INT64", " (TIMESTAMP_MILLIS)"),
            Kind::Real => ("DOUBLE", ""),
            Kind::Bytes => ("BYTE_ARRAY", ""),
        };
        let _ = writeln!(text, "  OPTIONAL {} {name}{};", kind.0, kind.1);
    }
    text + "}"
}

fn column<T: DataType, V>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    all: &[Option<V>],
    value: impl Fn(&V) -> T::T,
) -> anyhow::Result<()> {
    let mut writer = group.next_column()?.context("the schema has fewer columns")?;
    let levels: Vec<i16> = all.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = all.iter().flatten().map(value).collect();
    writer.typed::<T>().write_batch(&values, Some(&levels), None)?;
    writer.close()?;
    Ok(())
}

/// The rows of a file. Columns that it lacks are empty; one that the table lacks is refused.
pub(super) fn read(table: &'static Table, file: Bytes) -> anyhow::Result<Batch> {
    let reader = SerializedFileReader::new(file).context("no good Parquet file")?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let there: Vec<String> = schema.columns().iter().map(|column| column.name().to_owned()).collect();
    if let Some(strange) = there.iter().find(|name| !table.columns.iter().any(|(known, _)| known == name)) {
        let known: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        bail!("the column {strange:?} is not one of {}: {}", table.name, known.join(", "));
    }
    let mut batch = Batch::of(table);
    let mut rows = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        let count = usize::try_from(group.metadata().num_rows())?;
        for (values, (name, _)) in batch.columns.iter_mut().zip(table.columns) {
            let place = there.iter().position(|other| other == name);
            append(values, group.as_ref(), place, count).with_context(|| format!("column {name:?}"))?;
        }
        rows += count;
    }
    Ok(Batch::from_columns(table, batch.columns, rows))
}

fn append(values: &mut Values, group: &dyn RowGroupReader, place: Option<usize>, count: usize) -> anyhow::Result<()> {
    use parquet::column::reader::ColumnReader as Reader;
    let Some(place) = place else {
        match values {
            Values::Text(all) => all.resize(all.len() + count, None),
            Values::Integer(all) => all.resize(all.len() + count, None),
            Values::Real(all) => all.resize(all.len() + count, None),
            Values::Bytes(all) => all.resize(all.len() + count, None),
        }
        return Ok(());
    };
    match (values, group.get_column_reader(place)?) {
        (Values::Text(all), Reader::ByteArrayColumnReader(reader)) => {
            for value in optional(reader, count)? {
                let text = value.map(|bytes| String::from_utf8(bytes.data().to_vec())).transpose();
                all.push(text.context("text that is not UTF-8")?);
            }
        }
        (Values::Bytes(all), Reader::ByteArrayColumnReader(reader)) => {
            all.extend(optional(reader, count)?.into_iter().map(|value| value.map(|bytes| bytes.data().to_vec())));
        }
        (Values::Integer(all), Reader::Int64ColumnReader(reader)) => all.extend(optional(reader, count)?),
        (Values::Real(all), Reader::DoubleColumnReader(reader)) => all.extend(optional(reader, count)?),
        (_, _) => bail!("another type than the one that is exported"),
    }
    Ok(())
}

/// `count` values, each there or not.
fn optional<T: DataType>(mut reader: ColumnReaderImpl<T>, count: usize) -> anyhow::Result<Vec<Option<T::T>>> {
    let (mut values, mut levels) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut done = 0;
    while done < count {
        let (records, _, _) = reader.read_records(count - done, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            bail!("{done} of {count} values are there");
        }
        done += records;
    }
    // without levels every value is there
    let mut values = values.into_iter();
    if levels.is_empty() {
        return Ok(values.map(Some).collect());
    }
    Ok(levels.into_iter().map(|level| if level > 0 { values.next() } else { None }).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tables::TABLES;
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for table in &TABLES {
            let columns = Batch::of(table).columns.into_iter().map(|values| match values {
                Values::Text(_) => Values::Text(vec![Some("é\n".into()), None, Some(String::new())]),
                Values::Integer(_) => Values::Integer(vec![Some(i64::MIN), None, Some(7)]),
                Values::Real(_) => Values::Real(vec![Some(-0.5), None, Some(1e300)]),
                Values::Bytes(_) => Values::Bytes(vec![Some(vec![0, 255]), None, Some(Vec::new())]),
            });
            let batch = Batch::from_columns(table, columns.collect(), 3);
            let back = read(table, Bytes::from(write(&batch).unwrap())).unwrap();
            assert_eq!((back.rows(), &back.columns), (3, &batch.columns), "{}", table.name);
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_with_a_reason() {
        let said = |file: Bytes| format!("{:#}", read(&TABLES[0], file).unwrap_err());
        assert!(said(Bytes::from_static(b"PAR1 no")).contains("no good Parquet file"));
        let other = Bytes::from(write(&Batch::of(&TABLES[1])).unwrap());
        assert!(said(other).contains("the column \"exchange\" is not one of exchanges: id, request_id"));
    }
}
