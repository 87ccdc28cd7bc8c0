//! Results as JSON: every run of everything.

use serde_json::{Value, json};

use super::results::{Cell, Metric, Outcome, Results, SECTIONS};
use super::table;
use crate::report::Report;

pub(super) fn json(results: &Results) -> String {
    let machine = &results.machine;
    let contenders = results.built.iter().map(|built| {
        json!({
            "name": built.contender.name,
            "version": built.version,
            "lto": built.lto,
            "ours": built.contender.is_ours,
        })
    });
    let cells = results.cells.iter().map(|cell| cell_json(results, cell));
    let value = json!({
        "machine": {
            "processor": machine.processor,
            "cores": machine.cores,
            "kernel": machine.kernel,
            "rust": machine.rust,
            "huge_pages": machine.huge_pages,
            "load_before": machine.load,
        },
        "quick": results.options.quick,
        "runs": results.options.runs,
        "contenders": contenders.collect::<Vec<Value>>(),
        "missing": table::missing(results),
        "verdicts": verdicts(results),
        "cells": cells.collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn verdicts(results: &Results) -> Vec<Value> {
    let mut verdicts = Vec::new();
    for section in SECTIONS {
        for line in results.lines(section) {
            if let Some(verdict) = results.verdict(line) {
                verdicts.push(json!({
                    "row": line.row.name,
                    "metric": line.metric.name(),
                    "unit": line.metric.unit(),
                    "lto": line.lto,
                    "ratio": verdict.ratio,
                    "best_rival": verdict.best_rival,
                }));
            }
        }
    }
    verdicts
}

fn cell_json(results: &Results, cell: &Cell) -> Value {
    let built = &results.built[cell.built];
    let outcome = match &cell.outcome {
        Outcome::Ran => "ran",
        Outcome::Cannot => "cannot",
        Outcome::Died(_) => "died",
        Outcome::Wrong => "wrong",
    };
    let samples = cell.samples.iter();
    let samples = samples.map(|sample| json!([sample.at.as_millis() as u64, sample.bytes]));
    let instructions = cell.instructions.as_ref();
    json!({
        "row": cell.row.name,
        "contender": built.contender.name,
        "lto": built.lto,
        "outcome": outcome,
        "cpu_ns_per_op": least_and_median(cell, Metric::Cpu),
        "wall_ns_per_op": least_and_median(cell, Metric::Wall),
        "instructions_per_op": instructions.and_then(|count| count.as_ref().ok()),
        "instructions_error": instructions.and_then(|count| count.as_ref().err()),
        "runs": cell.reports.iter().map(report_json).collect::<Vec<_>>(),
        "resident_ms_bytes": samples.collect::<Vec<_>>(),
    })
}

fn least_and_median(cell: &Cell, metric: Metric) -> Value {
    json!({ "least": cell.least(metric), "median": cell.median(metric) })
}

fn report_json(report: &Report) -> Value {
    let nanos = |time: std::time::Duration| time.as_nanos() as u64;
    json!({
        "checksum": report.checksum,
        "ops": report.ops,
        "user_ns": nanos(report.user),
        "system_ns": nanos(report.system),
        "wall_ns": nanos(report.wall),
        "peak_bytes": report.peak_bytes,
        "busy_bytes": report.busy_bytes,
        "after_bytes": report.after_bytes,
        "pause_ns": nanos(report.pause),
    })
}
