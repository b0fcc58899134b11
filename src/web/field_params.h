/* field_params.h - fields of the shape `value; name=token; name="quoted"`, as Content-Type and
 * Content-Disposition have them (RFC 9110 section 5.6.6).
 *
 * Stricter than a guess, looser than the grammar: what real clients send unquoted although it is no
 * token (a boundary with `=` or `/` in it) is taken as it stands; what could be read in two ways is
 * an error. Views into the caller's bytes; nothing is copied. */
#ifndef CREW_WEB_FIELD_PARAMS_H
#define CREW_WEB_FIELD_PARAMS_H

#include "base/base.h"

struct crew__field_params {
	const char *at, *end; /* what has not been looked at */
};

struct crew__field_param {
	crew_bytes name;  /* a token; its case does not matter */
	crew_bytes value; /* between the quotes, when it had such: backslashes are still in it */
	bool quoted;
};

/* Returns what stands before the parameters, without the spaces around it. */
crew_bytes crew__field_params_begin(struct crew__field_params *p, crew_bytes field);

/* The next one: 1, and 0 behind the last. -EINVAL for what is no parameter. */
int crew__field_params_next(struct crew__field_params *p, struct crew__field_param *ret_param);

#endif
