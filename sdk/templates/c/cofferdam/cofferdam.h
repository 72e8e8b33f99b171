// What a task in C is written with: params, results, directories, log lines and
// failures as plain C. Files are read and written with the C library; what is
// written to standard output and error becomes log lines.
//
// A name that task.yaml does not have is an error of the program: it is logged,
// nothing stands for it, and the task fails with the reason `UnknownName`, whatever
// `run` gives. All texts are UTF-8 that ends with a NUL; what is
// handed over as something else is handed on with U+FFFD in place of what is
// wrong. A task runs once: memory that is given out here need not be freed.

#ifndef COFFERDAM_H
#define COFFERDAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TASK_FORMAT(text, first) __attribute__((format(printf, text, first)))

/// The task, which you write: true when it has succeeded, or what `task_fail` gives.
bool run(void);

/// A key and a text.
struct task_field {
  const char *name;
  const char *value;
};

/// The value of a param.
const char *task_param(const char *name);
/// The value of a param of the type `array`.
const char *const *task_param_array(const char *name, size_t *count);
/// The value of a param of the type `object`.
const struct task_field *task_param_object(const char *name, size_t *count);

/// The directory of an input, read-only.
const char *task_input(const char *name);
/// The directory of an output, empty at first.
const char *task_output(const char *name);
/// A directory that is thrown away afterwards.
const char *task_scratch(void);

/// Hands back a result, in place of what it was before. Those of a task that
/// fails are handed back, too.
void task_result(const char *name, const char *format, ...) TASK_FORMAT(2, 3);
/// Hands back a result of the type `array`.
void task_result_array(const char *name, const char *const *values, size_t count);
/// Hands back a result of the type `object`.
void task_result_object(const char *name, const struct task_field *fields, size_t count);

enum task_level { TASK_DEBUG, TASK_INFO, TASK_WARN, TASK_ERROR };

/// Writes one line to the log. After the message come names and values of fields,
/// all texts, and at last NULL.
void task_log(enum task_level level, const char *message, ...) __attribute__((sentinel));
/// Says how far the task has come; a `total` of 0 is one that is not known.
void task_progress(uint64_t done, uint64_t total, const char *message);

/// Why the task did not succeed: a stable reason in CamelCase, what to do next, or
/// NULL, and a message. Gives false, for `run` to return.
bool task_fail(const char *reason, const char *remedy, const char *format, ...) TASK_FORMAT(3, 4);
/// The same for a file or directory, in the words of `errno`.
bool task_fail_file(const char *path);

/// A text of any length, as `printf` makes it.
char *task_format(const char *format, ...) TASK_FORMAT(1, 2);
/// The paths of all files below a directory, relative to it, in order; NULL, with
/// `errno`, where it cannot be read.
char **task_files(const char *directory, size_t *count);

#endif
