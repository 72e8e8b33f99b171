//! How TaskRuns and PipelineRuns end, in Tekton's words where it has one.
//! Source: Tekton Pipelines v1, `taskrun_types.go` and `pipelinerun_types.go`.

use serde::{Deserialize, Serialize};

/// Whether something worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It did.
    Succeeded,
    /// It did not.
    Failed,
    /// It was stopped from outside.
    Cancelled,
}

/// Why a TaskRun ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskRunReason {
    /// The task returned an outcome.
    Succeeded,
    /// The task returned a failure, which says more.
    Failed,
    /// The user, or the end of the run, stopped it.
    TaskRunCancelled,
    /// It ran longer than its timeout.
    TaskRunTimeout,
    /// It used more processor time than its limit.
    CpuLimit,
    /// It wanted more memory than its limit, and could not go on without.
    MemoryLimit,
    /// It wrote more bytes than its limit.
    OutputLimit,
    /// It made more files than its limit.
    FileLimit,
    /// It had more files, streams and timers open than its limit.
    HandleLimit,
    /// It is made of more core instances than its limit.
    InstanceLimit,
    /// It has more tables than its limit.
    TableLimit,
    /// It logged more bytes than its limit.
    LogLimit,
    /// It made more requests than its limit.
    RequestLimit,
    /// A body that it sent or received was larger than its limit.
    BodyLimit,
    /// It sent more bytes over the network than its limit.
    EgressLimit,
    /// It received more bytes over the network than its limit.
    IngressLimit,
    /// Its results together are larger than 64 MiB, or its memory limit.
    TaskRunResultLargerThanAllowedLimit,
    /// Its results are not those of its manifest.
    InvalidTaskResults,
    /// What it left in an output cannot be an artifact.
    InvalidOutput,
    /// It trapped: an unreachable instruction, a bad memory access, an exit.
    TaskTrapped,
    /// A value that it was to be given does not fit: it did not begin.
    InvalidParamValue,
    /// The host could not read or write its own files: no fault of the task's.
    HostFault,
}

/// Why a PipelineRun ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunReason {
    /// Every task succeeded.
    Succeeded,
    /// No task failed that was not ignored, and some were skipped.
    Completed,
    /// A task failed.
    Failed,
    /// The user stopped it.
    Cancelled,
    /// It took longer than its timeouts allow.
    PipelineRunTimeout,
    /// A task was to use a result that another one did not give.
    InvalidTaskResultReference,
    /// A result of the wrong type was to make a matrix.
    InvalidMatrixParameterTypes,
    /// A result has no item of the number that was asked for.
    ParamArrayIndexingInvalid,
    /// A result was to be the value of a param that does not take it.
    InvalidParamValue,
    /// A `cel` condition gave neither true nor false.
    CELEvaluationFailed,
}

/// Why a task was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SkipReason {
    /// Another task failed.
    #[serde(rename = "PipelineRun was stopping")]
    PipelineRunWasStopping,
    /// The user stopped the run.
    #[serde(rename = "PipelineRun was gracefully cancelled")]
    PipelineRunWasCancelled,
    /// A condition does not hold.
    #[serde(rename = "When Expressions evaluated to false")]
    WhenExpressionsEvaluatedToFalse,
    /// A task that it waits for was skipped itself.
    #[serde(rename = "Parent Tasks were skipped")]
    ParentTasksWereSkipped,
    /// It uses what another task would have made, and did not.
    #[serde(rename = "Results were missing")]
    ResultsWereMissing,
    /// The run had no time left.
    #[serde(rename = "PipelineRun timeout has been reached")]
    PipelineRunTimeout,
    /// The run's tasks had no time left.
    #[serde(rename = "PipelineRun Tasks timeout has been reached")]
    TasksTimeout,
    /// The run's `finally` had no time left.
    #[serde(rename = "PipelineRun Finally timeout has been reached")]
    FinallyTimeout,
    /// Its matrix has no combinations.
    #[serde(rename = "Matrix Parameters have an empty array")]
    EmptyMatrix,
}

impl Status {
    /// The word as it is printed and recorded.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }
}

impl TaskRunReason {
    /// The word as it is printed and recorded.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::TaskRunCancelled => "TaskRunCancelled",
            Self::TaskRunTimeout => "TaskRunTimeout",
            Self::CpuLimit => "CpuLimit",
            Self::MemoryLimit => "MemoryLimit",
            Self::OutputLimit => "OutputLimit",
            Self::FileLimit => "FileLimit",
            Self::HandleLimit => "HandleLimit",
            Self::InstanceLimit => "InstanceLimit",
            Self::TableLimit => "TableLimit",
            Self::LogLimit => "LogLimit",
            Self::RequestLimit => "RequestLimit",
            Self::BodyLimit => "BodyLimit",
            Self::EgressLimit => "EgressLimit",
            Self::IngressLimit => "IngressLimit",
            Self::TaskRunResultLargerThanAllowedLimit => "TaskRunResultLargerThanAllowedLimit",
            Self::InvalidTaskResults => "InvalidTaskResults",
            Self::InvalidOutput => "InvalidOutput",
            Self::TaskTrapped => "TaskTrapped",
            Self::InvalidParamValue => "InvalidParamValue",
            Self::HostFault => "HostFault",
        }
    }

    /// What the reason says of the TaskRun.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Succeeded => Status::Succeeded,
            Self::TaskRunCancelled => Status::Cancelled,
            Self::Failed
            | Self::TaskRunTimeout
            | Self::CpuLimit
            | Self::MemoryLimit
            | Self::OutputLimit
            | Self::FileLimit
            | Self::HandleLimit
            | Self::InstanceLimit
            | Self::TableLimit
            | Self::LogLimit
            | Self::RequestLimit
            | Self::BodyLimit
            | Self::EgressLimit
            | Self::IngressLimit
            | Self::TaskRunResultLargerThanAllowedLimit
            | Self::InvalidTaskResults
            | Self::InvalidOutput
            | Self::TaskTrapped
            | Self::InvalidParamValue
            | Self::HostFault => Status::Failed,
        }
    }
}

impl RunReason {
    /// What the reason says of the PipelineRun.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Succeeded | Self::Completed => Status::Succeeded,
            Self::Cancelled => Status::Cancelled,
            Self::Failed
            | Self::PipelineRunTimeout
            | Self::InvalidTaskResultReference
            | Self::InvalidMatrixParameterTypes
            | Self::ParamArrayIndexingInvalid
            | Self::InvalidParamValue
            | Self::CELEvaluationFailed => Status::Failed,
        }
    }

    /// The word as it is printed and recorded.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::PipelineRunTimeout => "PipelineRunTimeout",
            Self::InvalidTaskResultReference => "InvalidTaskResultReference",
            Self::InvalidMatrixParameterTypes => "InvalidMatrixParameterTypes",
            Self::ParamArrayIndexingInvalid => "ParamArrayIndexingInvalid",
            Self::InvalidParamValue => "InvalidParamValue",
            Self::CELEvaluationFailed => "CELEvaluationFailed",
        }
    }
}

impl SkipReason {
    /// Tekton's literal text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PipelineRunWasStopping => "PipelineRun was stopping",
            Self::PipelineRunWasCancelled => "PipelineRun was gracefully cancelled",
            Self::WhenExpressionsEvaluatedToFalse => "When Expressions evaluated to false",
            Self::ParentTasksWereSkipped => "Parent Tasks were skipped",
            Self::ResultsWereMissing => "Results were missing",
            Self::PipelineRunTimeout => "PipelineRun timeout has been reached",
            Self::TasksTimeout => "PipelineRun Tasks timeout has been reached",
            Self::FinallyTimeout => "PipelineRun Finally timeout has been reached",
            Self::EmptyMatrix => "Matrix Parameters have an empty array",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_is_recorded() {
        for reason in [TaskRunReason::Succeeded, TaskRunReason::MemoryLimit, TaskRunReason::TaskTrapped] {
            assert_eq!(serde_json::to_value(reason).ok(), Some(reason.as_str().into()));
        }
        for reason in [RunReason::Completed, RunReason::CELEvaluationFailed, RunReason::PipelineRunTimeout] {
            assert_eq!(serde_json::to_value(reason).ok(), Some(reason.as_str().into()));
        }
        for reason in [
            SkipReason::PipelineRunWasStopping,
            SkipReason::PipelineRunWasCancelled,
            SkipReason::WhenExpressionsEvaluatedToFalse,
            SkipReason::ParentTasksWereSkipped,
            SkipReason::ResultsWereMissing,
            SkipReason::PipelineRunTimeout,
            SkipReason::TasksTimeout,
            SkipReason::FinallyTimeout,
            SkipReason::EmptyMatrix,
        ] {
            assert_eq!(serde_json::to_value(reason).ok(), Some(reason.as_str().into()));
        }
    }
}
