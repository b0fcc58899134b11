/* What the tests of settings share: programs, files, and one call that loads. */
#ifndef CREW_TESTS_SETTINGS_WORLD_H
#define CREW_TESTS_SETTINGS_WORLD_H

#include "service/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Services "web" (http), "feed" (ws), "net" (a protocol of its own) and "job" (without a socket).
 */
extern const crew_app settings_app;

/* The last complaint. */
extern char settings_error[512];

/* Load with up to eight --set, ended by NULL; `file` is the text of an INI file, or NULL. The
 * caller frees the settings. */
int settings_load(const crew_app *app, const char *file, struct crew__settings **ret_settings, ...)
	__attribute__((sentinel));

/* The same; it must be good. */
struct crew__settings *settings_good(const char *file, const char *set);

/* It must be refused, with all these words in one line. */
void settings_bad(const char *file, const char *set, ...) __attribute__((sentinel));

/* A service's settings by name. */
const struct crew__service_settings *settings_of(
	const struct crew__settings *settings, const char *service);

#endif
