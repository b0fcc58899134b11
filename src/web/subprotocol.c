/* subprotocol.c - each word that is offered is looked up in our short list, once. */
#include "web/subprotocol.h"

#include "proto/http1.h"

#include <string.h>

#define FIELD "Sec-WebSocket-Protocol"

/* The next word of our list; no bytes: there is none. */
static crew_bytes next_of_ours(const char **at)
{
	*at += strspn(*at, " ");
	crew_bytes word = { *at, strcspn(*at, " ") };
	*at += word.len;
	return word;
}

/* Is it one of ours, and better than what was found before? */
static void look_up(const char *ours, crew_bytes offered, crew_bytes *best)
{
	const char *at = ours;
	for (crew_bytes word = next_of_ours(&at); word.len > 0; word = next_of_ours(&at)) {
		if (word.data == best->data)
			return;
		if (word.len == offered.len && memcmp(word.data, offered.data, word.len) == 0) {
			*best = word;
			return;
		}
	}
}

static bool look_at(const char *ours, crew_bytes value, crew_bytes *best)
{
	crew_bytes word;
	while (crew__http_element(&value, &word)) {
		if (word.len > 0 && !crew__http_token(word))
			return false;
		if (word.len > 0)
			look_up(ours, word, best);
	}
	return true;
}

int crew__subprotocol_choose(
	const char *ours, const crew_header *fields, size_t count, crew_bytes *ret_name)
{
	crew_bytes best = { NULL, 0 };
	for (size_t i = 0; i < count; i++) {
		if (crew__http_same_word(fields[i].name, FIELD) &&
			!look_at(ours, fields[i].value, &best))
			return -EINVAL;
	}
	if (best.len == 0)
		return 0;
	*ret_name = best;
	return 1;
}
