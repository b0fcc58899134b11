/* http1_fields.c - the fields that frame or upgrade a request.
 *
 * Told apart by length first, so most fields cost one comparison. Not here: Host, and what the
 * fields add up to when the whole head is known (http1_head.c). */
#include "proto/http1_parts.h"

enum {
	LENGTH_DIGITS_MAX = 19
}; /* so many never overflow 64 bits */

#define IS(text, word) crew__http_is_word((text), (word), sizeof(word) - 1)

/* RFC 9112 6.3: digits, once. A list, a repetition, a sign, no digit, and more space before or
 * behind than everybody sends is what request smuggling is made of. */
static int take_length(struct crew__http1_framing *f, const crew_header *field, crew_bytes value)
{
	const char *colon = field->name.data + field->name.len;
	const char *end = value.data + value.len;
	if (f->has_length || value.len == 0 || value.len > LENGTH_DIGITS_MAX)
		return 400;
	if (value.data - colon > 2 || value.data[-1] == '\t' || *end != '\r')
		return 400;
	uint64_t length = 0;
	for (const char *at = value.data; at < end; at++) {
		if (*at < '0' || *at > '9')
			return 400;
		length = length * 10 + (uint64_t)(*at - '0');
	}
	f->length = length;
	f->has_length = true;
	return 0;
}

/* RFC 9112 6.1, 6.3: only `chunked` by itself is a coding that we have; whether there may be one at
 * all depends on the whole head. Chunked twice, or not last, is wrong whatever else is there, as
 * nobody can tell where such a body ends. */
static int take_coding(struct crew__http1_framing *f, crew_bytes value)
{
	if (f->has_coding)
		return 400;
	f->has_coding = true;
	bool chunked = false;
	crew_bytes element;
	while (crew__http_element(&value, &element)) {
		if (chunked || !crew__http_token(element))
			return 400;
		chunked = IS(element, "chunked");
		if (!chunked)
			f->unknown_coding = true;
	}
	return chunked ? 0 : 400;
}

/* RFC 9110 10.1.1. */
static int take_expectation(struct crew__http1_framing *f, crew_bytes value)
{
	f->has_expectation = true;
	if (!IS(value, "100-continue"))
		f->unknown_expectation = true;
	return 0;
}

static void take_option(struct crew__http1_framing *f, crew_bytes option)
{
	if (IS(option, "keep-alive"))
		f->option_keep_alive = true;
	else if (IS(option, "close"))
		f->option_close = true;
	else if (IS(option, "upgrade"))
		f->option_upgrade = true;
}

static int take_connection(struct crew__http1_framing *f, crew_bytes value)
{
	crew_bytes option;
	if (crew__likely(IS(value, "keep-alive"))) {
		f->option_keep_alive = true;
		return 0;
	}
	while (crew__http_element(&value, &option))
		take_option(f, option);
	return 0;
}

static int take_upgrade(struct crew__http1_framing *f, crew_bytes value)
{
	crew_bytes protocol;
	while (crew__http_element(&value, &protocol))
		if (IS(protocol, "websocket"))
			f->upgrade_websocket = true;
	return 0;
}

static int take_once(struct crew__http1_request *r, crew_bytes *field, crew_bytes value)
{
	if (field->data)
		r->ws_repeated = true;
	else
		*field = value;
	return 0;
}

/* RFC 6455 11.3: these two may come more than once; the first is what the client likes best. */
static int take_first(crew_bytes *field, crew_bytes value)
{
	if (!field->data)
		*field = value;
	return 0;
}

int crew__http1_field(
	struct crew__http1_request *r, struct crew__http1_framing *f, const crew_header *field)
{
	crew_bytes name = field->name, value = field->value;
	switch (name.len) {
	case 6:
		return IS(name, "expect") ? take_expectation(f, value) : 0;
	case 7:
		return IS(name, "upgrade") ? take_upgrade(f, value) : 0;
	case 10:
		return IS(name, "connection") ? take_connection(f, value) : 0;
	case 14:
		return IS(name, "content-length") ? take_length(f, field, value) : 0;
	case 17:
		if (IS(name, "transfer-encoding"))
			return take_coding(f, value);
		return IS(name, "sec-websocket-key") ? take_once(r, &r->ws_key, value) : 0;
	case 21:
		return IS(name, "sec-websocket-version") ? take_once(r, &r->ws_version, value) : 0;
	case 22:
		return IS(name, "sec-websocket-protocol") ? take_first(&r->ws_protocol, value) : 0;
	case 24:
		return IS(name, "sec-websocket-extensions") ? take_first(&r->ws_extensions, value)
							    : 0;
	default:
		return 0;
	}
}
