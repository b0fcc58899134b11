#include "preamble_ways.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int talk_begin(struct talked *t, const struct crew__preamble *kind, const char *host, unsigned port,
	const char *user, const char *password)
{
	memset(t, 0, sizeof(*t));
	crew__buf_init(&t->out, 4096);
	t->talk = (struct crew__preamble_talk){
		.kind = kind,
		.ask = { .host = host, .port = (uint16_t)port, .user = user, .password = password },
	};
	return kind->begin(&t->talk, &t->out);
}

/* A copy with nothing behind it, so that a byte read too many is seen. */
static int feed(struct talked *t, const char *bytes, size_t len, size_t *ret_used)
{
	char *copy = malloc(len ? len : 1);
	crew__must(copy);
	memcpy(copy, bytes, len);
	int result = t->talk.kind->feed(&t->talk, (crew_bytes){ copy, len }, ret_used, &t->out);
	crew__must(*ret_used <= len);
	free(copy);
	return result;
}

int talk_hear(struct talked *t, const void *bytes, size_t len, size_t piece)
{
	size_t at = 0, here = 0;
	t->result = 0;
	while (here < len && t->result == 0) {
		size_t used = 0;
		here = len - here < piece ? len : here + piece;
		t->result = feed(t, (const char *)bytes + at, here - at, &used);
		at += used;
	}
	t->used += at;
	return t->result;
}

void talk_end(struct talked *t)
{
	crew__buf_release(&t->out);
}
