// Counts the lines of a source tree that contain a word.

#include "cofferdam.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Writes each line of a file that contains the word, and counts it. False, with
// errno, where the file cannot be read.
static bool look_through(const char *file, const char *word, FILE *report, size_t *found) {
  FILE *source = fopen(task_format("%s/%s", task_input("source"), file), "r");
  if (!source) return false;
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  for (size_t number = 1; (length = getline(&line, &capacity, source)) >= 0; number++) {
    // No text from here on.
    if (memchr(line, 0, (size_t)length)) break;
    if (!strstr(line, word)) continue;
    while (length > 0 && isspace((unsigned char)line[length - 1])) length--;
    fprintf(report, "%s:%zu: %.*s\n", file, number, (int)length, line);
    ++*found;
  }
  bool read = !ferror(source);
  free(line);
  return fclose(source) == 0 && read;
}

bool run(void) {
  const char *word = task_param("word");
  if (*word == '\0') return task_fail("NoWord", "give a word to look for", "`word` is empty");

  size_t count = 0, found = 0;
  char **files = task_files(task_input("source"), &count);
  if (!files) return task_fail_file(task_input("source"));

  const char *path = task_format("%s/lines.txt", task_output("report"));
  FILE *report = fopen(path, "w");
  if (!report) return task_fail_file(path);
  for (size_t i = 0; i < count; i++) {
    if (!look_through(files[i], word, report, &found)) return task_fail_file(files[i]);
  }
  bool written = !ferror(report);
  if (fclose(report) != 0 || !written) return task_fail_file(path);

  task_log(TASK_INFO, "looked through", "files", task_format("%zu", count), NULL);
  task_result("lines", "%zu", found);
  return true;
}
