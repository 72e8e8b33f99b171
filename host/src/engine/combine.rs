//! The combinations that a task runs for, once every list of its matrix is known.

use std::collections::BTreeMap;

use cofferdam_manifest::Value;

use super::flow::{Absence, Asker, FlowRun};
use crate::model::{MAX_PARAM_BYTES, RunReason};
use crate::plan::{Argument, Combination, Matrix, combine};

impl FlowRun<'_> {
    /// Every combination of a task; none, where a list is empty.
    pub(super) fn combinations(
        &self,
        matrix: &Matrix,
        asker: Asker<'_>,
    ) -> Result<Vec<Combination>, Absence> {
        let left = &mut MAX_PARAM_BYTES.clone();
        let mut lists = Vec::with_capacity(matrix.params.len());
        for (name, argument) in &matrix.params {
            match self.argument(argument, asker, left)? {
                Value::Texts(values) => lists.push((name.clone(), values)),
                Value::Text(_) | Value::Fields(_) => {
                    let why = format!("the matrix param `{name}` is not a list");
                    return Err(Absence::Wrong(RunReason::InvalidMatrixParameterTypes, why));
                }
            }
        }
        let mut include = Vec::with_capacity(matrix.include.len());
        for more in &matrix.include {
            let texts = more.params.iter().map(|(name, template)| {
                let argument = Argument::Text(template.clone());
                match self.argument(&argument, asker, left)? {
                    Value::Text(text) => Ok((name.clone(), text)),
                    Value::Texts(_) | Value::Fields(_) => {
                        let why = format!("the matrix param `{name}` is not a string");
                        Err(Absence::Wrong(RunReason::InvalidMatrixParameterTypes, why))
                    }
                }
            });
            include.push((more.name.clone(), texts.collect::<Result<BTreeMap<_, _>, _>>()?));
        }
        combine(&lists, &include).map_err(|why| Absence::Wrong(RunReason::InvalidMatrixParameterTypes, why))
    }
}
