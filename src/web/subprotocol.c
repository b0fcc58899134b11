/* subprotocol.c - each word that is offered is looked up in our short list, once. */
#include "web/subprotocol.h"

#include <string.h>
#include <strings.h>

#define FIELD "Sec-WebSocket-Protocol"

static bool is_token_byte(char c)
{
	bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
	return alnum || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

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
	size_t at = 0;
	while (at < value.len) {
		while (at < value.len && is_space(value.data[at]))
			at++;
		size_t begin = at;
		while (at < value.len && is_token_byte(value.data[at]))
			at++;
		crew_bytes word = { value.data + begin, at - begin };
		while (at < value.len && is_space(value.data[at]))
			at++;
		if (at < value.len && value.data[at++] != ',')
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
		crew_bytes name = fields[i].name;
		if (name.len == strlen(FIELD) && strncasecmp(name.data, FIELD, name.len) == 0 &&
			!look_at(ours, fields[i].value, &best))
			return -EINVAL;
	}
	if (best.len == 0)
		return 0;
	*ret_name = best;
	return 1;
}
