// What is between `run` and the contract, whose bindings `cofferdam task build`
// makes of wit/.

#include "cofferdam.h"
#include "contract.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What the task was given, and what it has come to.
static contract_request_t *request;
static cofferdam_task_types_list_binding_t results;
static contract_failure_t failure;
// Why the task fails whatever `run` gives: the first name that task.yaml does not have.
static contract_failure_t mistake;

// --- Memory. All of it is from malloc: the bindings free what they hand over.

static _Noreturn void out_of_memory(void) {
  fputs("out of memory: raise `limits.memory` in task.yaml\n", stderr);
  abort();
}

static void *at_least(void *old, size_t size, size_t count) {
  size_t bytes;
  bool fits = !__builtin_mul_overflow(size, count ? count : 1, &bytes);
  void *memory = fits ? realloc(old, bytes) : NULL;
  if (!memory) out_of_memory();
  return memory;
}

static char *formatted(const char *format, va_list arguments) {
  char *text = NULL;
  if (vasprintf(&text, format, arguments) < 0) out_of_memory();
  return text;
}

char *task_format(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *text = formatted(format, arguments);
  va_end(arguments);
  return text;
}

// --- Texts.

// How many bytes a character has that begins here, 0 where none does.
static size_t character(const unsigned char *at) {
  if (at[0] < 0x80) return 1;
  size_t more = at[0] >= 0xF0 ? 3 : at[0] >= 0xE0 ? 2 : 1;
  if (at[0] < 0xC2 || at[0] > 0xF4) return 0;
  // The NUL at the end continues nothing, so nothing after it is read.
  for (size_t i = 1; i <= more; i++) {
    if ((at[i] & 0xC0) != 0x80) return 0;
  }
  bool too_long = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
  bool surrogate = at[0] == 0xED && at[1] > 0x9F;
  bool too_large = at[0] == 0xF4 && at[1] > 0x8F;
  return too_long || surrogate || too_large ? 0 : more + 1;
}

// A text as the contract has it, in memory of its own. The host ends a task that
// hands over anything but UTF-8.
static contract_string_t lower(const char *text) {
  contract_string_t lowered = {at_least(NULL, 3, strlen(text)), 0};
  for (const unsigned char *at = (const unsigned char *)text; *at;) {
    size_t length = character(at);
    const void *from = length ? (const void *)at : "\xEF\xBF\xBD";
    size_t bytes = length ? length : 3;
    memcpy(lowered.ptr + lowered.len, from, bytes);
    lowered.len += bytes;
    at += length ? length : 1;
  }
  // The bindings free only what is not empty.
  if (lowered.len == 0) free(lowered.ptr);
  return lowered;
}

static const char *lift(contract_string_t text) {
  char *lifted = at_least(NULL, 1, text.len + 1);
  if (text.len) memcpy(lifted, text.ptr, text.len);
  lifted[text.len] = '\0';
  return lifted;
}

static bool is(contract_string_t text, const char *name) {
  return text.len == strlen(name) && memcmp(text.ptr, name, text.len) == 0;
}

// --- Log lines.

void task_log(enum task_level level, const char *message, ...) {
  cofferdam_task_log_list_field_t fields = {NULL, 0};
  va_list arguments;
  va_start(arguments, message);
  for (const char *name; (name = va_arg(arguments, const char *));) {
    const char *value = va_arg(arguments, const char *);
    fields.ptr = at_least(fields.ptr, sizeof *fields.ptr, fields.len + 1);
    fields.ptr[fields.len++] = (cofferdam_task_log_field_t){lower(name), lower(value ? value : "")};
    if (!value) break;
  }
  va_end(arguments);
  contract_string_t lowered = lower(message);
  cofferdam_task_log_write((cofferdam_task_log_level_t)level, &lowered, &fields);
  contract_string_free(&lowered);
  cofferdam_task_log_list_field_free(&fields);
}

void task_progress(uint64_t done, uint64_t total, const char *message) {
  contract_string_t lowered = lower(message);
  cofferdam_task_log_progress(done, total ? &total : NULL, &lowered);
  contract_string_free(&lowered);
}

// --- What the task was given.

// There is no way out of `run` from here, so it goes on with nothing.
static void wrong(const char *what, const char *name, const char *known) {
  const char *message = task_format("task.yaml has no %s `%s`", what, name);
  task_log(TASK_ERROR, message, NULL);
  if (mistake.reason.len) return;
  mistake.reason = lower("UnknownName");
  mistake.message = lower(message);
  mistake.remedy.is_some = true;
  mistake.remedy.val = lower(*known ? task_format("it has: %s", known) : "add it there");
}

// The params, each with its type.
static const char *known_params(void) {
  static const char *const types[] = {
      [COFFERDAM_TASK_TYPES_VALUE_TEXT] = "string",
      [COFFERDAM_TASK_TYPES_VALUE_TEXTS] = "array",
      [COFFERDAM_TASK_TYPES_VALUE_FIELDS] = "object",
  };
  const char *known = "";
  for (size_t i = 0; i < request->params.len; i++) {
    const cofferdam_task_types_binding_t *given = &request->params.ptr[i];
    known = task_format("%s%s%s (%s)", known, *known ? ", " : "", lift(given->name), types[given->value.tag]);
  }
  return known;
}

static const cofferdam_task_types_value_t *param(const char *name, uint8_t tag, const char *what) {
  for (size_t i = 0; i < request->params.len; i++) {
    const cofferdam_task_types_binding_t *given = &request->params.ptr[i];
    if (is(given->name, name) && given->value.tag == tag) return &given->value;
  }
  wrong(what, name, known_params());
  return NULL;
}

const char *task_param(const char *name) {
  const cofferdam_task_types_value_t *given =
      param(name, COFFERDAM_TASK_TYPES_VALUE_TEXT, "param of the type string");
  return given ? lift(given->val.text) : "";
}

const char *const *task_param_array(const char *name, size_t *count) {
  const cofferdam_task_types_value_t *value =
      param(name, COFFERDAM_TASK_TYPES_VALUE_TEXTS, "param of the type array");
  const contract_list_string_t nothing = {NULL, 0}, *texts = value ? &value->val.texts : &nothing;
  const char **values = at_least(NULL, sizeof *values, texts->len);
  for (size_t i = 0; i < texts->len; i++) values[i] = lift(texts->ptr[i]);
  *count = texts->len;
  return values;
}

const struct task_field *task_param_object(const char *name, size_t *count) {
  const cofferdam_task_types_value_t *value =
      param(name, COFFERDAM_TASK_TYPES_VALUE_FIELDS, "param of the type object");
  const contract_list_tuple2_string_string_t nothing = {NULL, 0}, *given = value ? &value->val.fields : &nothing;
  struct task_field *fields = at_least(NULL, sizeof *fields, given->len);
  for (size_t i = 0; i < given->len; i++) {
    fields[i] = (struct task_field){lift(given->ptr[i].f0), lift(given->ptr[i].f1)};
  }
  *count = given->len;
  return fields;
}

static const char *mount(const cofferdam_task_types_list_mount_t *mounts, const char *name, const char *what) {
  for (size_t i = 0; i < mounts->len; i++) {
    if (is(mounts->ptr[i].name, name)) return lift(mounts->ptr[i].path);
  }
  const char *known = "";
  for (size_t i = 0; i < mounts->len; i++) {
    known = task_format("%s%s%s", known, *known ? ", " : "", lift(mounts->ptr[i].name));
  }
  wrong(what, name, known);
  return "";
}

const char *task_input(const char *name) { return mount(&request->inputs, name, "input"); }
const char *task_output(const char *name) { return mount(&request->outputs, name, "output"); }

const char *task_scratch(void) {
  if (request->scratch.is_some) return lift(request->scratch.val);
  task_log(TASK_ERROR, "the host has given no scratch directory", NULL);
  abort();
}

// --- What it hands back.

static void hand_back(const char *name, cofferdam_task_types_value_t value) {
  for (size_t i = 0; i < results.len; i++) {
    if (!is(results.ptr[i].name, name)) continue;
    cofferdam_task_types_value_free(&results.ptr[i].value);
    results.ptr[i].value = value;
    return;
  }
  results.ptr = at_least(results.ptr, sizeof *results.ptr, results.len + 1);
  results.ptr[results.len++] = (cofferdam_task_types_binding_t){lower(name), value};
}

void task_result(const char *name, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *text = formatted(format, arguments);
  va_end(arguments);
  cofferdam_task_types_value_t value = {.tag = COFFERDAM_TASK_TYPES_VALUE_TEXT, .val.text = lower(text)};
  free(text);
  hand_back(name, value);
}

void task_result_array(const char *name, const char *const *values, size_t count) {
  contract_list_string_t texts = {NULL, count};
  if (count) texts.ptr = at_least(NULL, sizeof *texts.ptr, count);
  for (size_t i = 0; i < count; i++) texts.ptr[i] = lower(values[i]);
  hand_back(name, (cofferdam_task_types_value_t){.tag = COFFERDAM_TASK_TYPES_VALUE_TEXTS, .val.texts = texts});
}

void task_result_object(const char *name, const struct task_field *fields, size_t count) {
  contract_list_tuple2_string_string_t lowered = {NULL, count};
  if (count) lowered.ptr = at_least(NULL, sizeof *lowered.ptr, count);
  for (size_t i = 0; i < count; i++) {
    lowered.ptr[i] = (contract_tuple2_string_string_t){lower(fields[i].name), lower(fields[i].value)};
  }
  hand_back(name, (cofferdam_task_types_value_t){.tag = COFFERDAM_TASK_TYPES_VALUE_FIELDS, .val.fields = lowered});
}

bool task_fail(const char *reason, const char *remedy, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *message = formatted(format, arguments);
  va_end(arguments);
  failure.reason = lower(reason);
  failure.message = lower(message);
  failure.remedy.is_some = remedy != NULL;
  if (remedy) failure.remedy.val = lower(remedy);
  free(message);
  return false;
}

bool task_fail_file(const char *path) { return task_fail("InputOutput", NULL, "%s: %s", path, strerror(errno)); }

// A C text ends at the first NUL: what is behind it would be lost in silence.
static bool has_nul(contract_string_t text) { return text.len && memchr(text.ptr, '\0', text.len); }

static bool any_nul(const cofferdam_task_types_value_t *value) {
  bool found = value->tag == COFFERDAM_TASK_TYPES_VALUE_TEXT && has_nul(value->val.text);
  if (value->tag == COFFERDAM_TASK_TYPES_VALUE_TEXTS) {
    for (size_t i = 0; i < value->val.texts.len; i++) found |= has_nul(value->val.texts.ptr[i]);
  }
  if (value->tag == COFFERDAM_TASK_TYPES_VALUE_FIELDS) {
    const contract_list_tuple2_string_string_t *fields = &value->val.fields;
    for (size_t i = 0; i < fields->len; i++) found |= has_nul(fields->ptr[i].f0) || has_nul(fields->ptr[i].f1);
  }
  return found;
}

static bool checked_run(void) {
  for (size_t i = 0; i < request->params.len; i++) {
    if (!any_nul(&request->params.ptr[i].value)) continue;
    return task_fail("NulInParam", "leave the NUL out", "param `%s` has a NUL in it, where a text in C ends",
                     lift(request->params.ptr[i].name));
  }
  return run();
}

bool exports_contract_run(contract_request_t *given, contract_outcome_t *outcome, contract_failure_t *failed) {
  request = given;
  bool succeeded = checked_run();
  // Nobody else would: a task does not exit.
  if (fflush(NULL) != 0 && succeeded) succeeded = task_fail_file("a file that was left open");
  if (!succeeded && failure.reason.len == 0) {
    task_fail("Failed", "return what `task_fail` gives", "`run` gave false, and no reason");
  }
  if (mistake.reason.len) {
    failure = mistake;
    succeeded = false;
  }
  if (succeeded) outcome->results = results;
  failure.results = results;
  *failed = failure;
  return succeeded;
}

// --- Files.

static int by_bytes(const void *left, const void *right) {
  return strcmp(*(char *const *)left, *(char *const *)right);
}

struct paths {
  char **texts;
  size_t count;
};

static void add(struct paths *paths, char *path) {
  paths->texts = at_least(paths->texts, sizeof *paths->texts, paths->count + 1);
  paths->texts[paths->count++] = path;
}

// Adds what is in one directory: files to those found, directories to those left.
static bool list(const char *root, const char *below, struct paths *found, struct paths *left) {
  const char *between = *below ? "/" : "";
  char *path = task_format("%s%s%s", root, between, below);
  DIR *directory = opendir(path);
  free(path);
  if (!directory) return false;
  struct dirent *entry;
  while (errno = 0, entry = readdir(directory)) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (entry->d_type != DT_REG && entry->d_type != DT_DIR) continue;
    add(entry->d_type == DT_DIR ? left : found, task_format("%s%s%s", below, between, entry->d_name));
  }
  int error = errno;
  closedir(directory);
  errno = error;
  return error == 0;
}

char **task_files(const char *directory, size_t *count) {
  struct paths found = {at_least(NULL, sizeof *found.texts, 1), 0}, left = {NULL, 0};
  add(&left, task_format(""));
  while (left.count > 0) {
    char *below = left.texts[--left.count];
    bool listed = list(directory, below, &found, &left);
    free(below);
    if (!listed) return NULL;
  }
  free(left.texts);
  qsort(found.texts, found.count, sizeof *found.texts, by_bytes);
  *count = found.count;
  return found.texts;
}
