/* json_parts.h - what all that print JSON say alike.
 *
 * A failed allocation anywhere makes jansson's next call fail, so a function may go on and say at
 * its end whether any has. */
#ifndef CREW_CLI_JSON_PARTS_H
#define CREW_CLI_JSON_PARTS_H

#include "base/base.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

/* 0, or -1; the value is taken over in every case. */
static inline int crew__json_put(json_t *object, const char *key, json_t *take_value)
{
	return json_object_set_new(object, key, take_value);
}

static inline json_t *crew__json_number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static inline json_t *crew__json_text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

/* A connection's id: a text, as no number of JSON holds 64 bits. */
static inline json_t *crew__json_id(uint64_t id)
{
	char text[20];
	snprintf(text, sizeof(text), "%016" PRIx64, id);
	return json_string(text);
}

#endif
