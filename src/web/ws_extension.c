/* ws_extension.c - one pass over the list; an offer that cannot be taken is left out, not refused.
 */
#include "web/ws_extension.h"

#include "proto/http1.h"

#include <stdio.h>
#include <string.h>

#define FIELD "Sec-WebSocket-Extensions"
#define NAME  "permessage-deflate"

/* Of the four parameters: which were there, and what they say. */
enum {
	SERVER_RESETS = 1u << 0,
	CLIENT_RESETS = 1u << 1,
	SERVER_BITS = 1u << 2,
	CLIENT_BITS = 1u << 3,
};

struct params {
	unsigned there;
	uint8_t server_bits, client_bits; /* 0: without a value */
	bool bad; /* one is unknown, comes twice, or has a value that it cannot have */
};

/* ---- the grammar (RFC 6455 section 9.1) ---------------------------------------------------- */

static void skip_spaces(crew_bytes *rest)
{
	while (rest->len > 0 && crew__http_is_space(rest->data[0])) {
		rest->data++;
		rest->len--;
	}
}

static bool take_byte(crew_bytes *rest, char byte)
{
	skip_spaces(rest);
	if (rest->len == 0 || rest->data[0] != byte)
		return false;
	rest->data++;
	rest->len--;
	return true;
}

static bool take_token(crew_bytes *rest, crew_bytes *ret_token)
{
	skip_spaces(rest);
	size_t n = crew__http_token_span(*rest);
	*ret_token = (crew_bytes){ rest->data, n };
	rest->data += n;
	rest->len -= n;
	return n > 0;
}

/* A token, or one in quotes. What is in them must be a token when read without its backslashes;
 * one that has any is taken for a value that nothing has. */
static bool take_value(crew_bytes *rest, crew_bytes *ret_value)
{
	if (!take_byte(rest, '"'))
		return take_token(rest, ret_value);
	const char *start = rest->data;
	size_t n = 0;
	while (n < rest->len && rest->data[n] != '"') {
		n += rest->data[n] == '\\';
		if (n == rest->len || crew__http_token_span((crew_bytes){ rest->data + n, 1 }) == 0)
			return false;
		n++;
	}
	if (n == 0 || n >= rest->len)
		return false;
	*ret_value = (crew_bytes){ start, n };
	rest->data += n + 1;
	rest->len -= n + 1;
	return true;
}

/* ---- parameters (RFC 7692 section 7.1) ----------------------------------------------------- */

/* 8 to 15, without a zero before it; 0: it is nothing of that. */
static uint8_t window_bits(crew_bytes value)
{
	unsigned bits = 0;
	if (value.len == 0 || value.len > 2 || value.data[0] == '0')
		return 0;
	for (size_t i = 0; i < value.len; i++) {
		unsigned digit = (unsigned char)value.data[i] - (unsigned)'0';
		if (digit > 9)
			return 0;
		bits = bits * 10 + digit;
	}
	return bits >= CREW__WS_BITS_LEAST && bits <= CREW__WS_BITS_MOST ? (uint8_t)bits : 0;
}

static void note_param(struct params *p, crew_bytes name, bool has_value, crew_bytes value)
{
	static const char *const names[] = { "server_no_context_takeover",
		"client_no_context_takeover", "server_max_window_bits", "client_max_window_bits" };
	unsigned which = 0;
	while (which < crew__lengthof(names) && !crew__http_same_word(name, names[which]))
		which++;
	unsigned flag = 1u << which;
	uint8_t bits = has_value ? window_bits(value) : 0;
	bool wants_bits = flag & (SERVER_BITS | CLIENT_BITS);
	bool good = wants_bits ? bits > 0 || (!has_value && flag == CLIENT_BITS) : !has_value;
	if (which == crew__lengthof(names) || (p->there & flag) || !good) {
		p->bad = true;
		return;
	}
	p->there |= flag;
	if (flag == SERVER_BITS)
		p->server_bits = bits;
	else if (flag == CLIENT_BITS)
		p->client_bits = bits;
}

/* An extension with its parameters, up to the comma or the end. False: it is none. */
static bool take_extension(crew_bytes *rest, crew_bytes *ret_name, struct params *ret_params)
{
	crew_bytes name, value = { NULL, 0 };
	*ret_params = (struct params){ 0 };
	if (!take_token(rest, ret_name))
		return false;
	while (take_byte(rest, ';')) {
		if (!take_token(rest, &name))
			return false;
		bool has_value = take_byte(rest, '=');
		if (has_value && !take_value(rest, &value))
			return false;
		note_param(ret_params, name, has_value, value);
	}
	skip_spaces(rest);
	return rest->len == 0 || rest->data[0] == ',';
}

/* ---- the list ------------------------------------------------------------------------------ */

/* What one element says. 0, or -EPROTO: it must not stand there. */
typedef int look_fn(crew_bytes name, const struct params *params, struct crew__ws_terms *terms);

/* Every element, to the end of the last field. 0; what `look` says first that is not 0; -EINVAL:
 * this is no list of extensions. Empty elements are none (RFC 9110 section 5.6.1). */
static int walk(
	const crew_header *fields, size_t count, look_fn *look, struct crew__ws_terms *terms)
{
	int error = 0;
	for (size_t i = 0; i < count; i++) {
		crew_bytes name, rest = fields[i].value;
		struct params params;
		if (!crew__http_same_word(fields[i].name, FIELD))
			continue;
		for (skip_spaces(&rest); rest.len > 0; skip_spaces(&rest)) {
			if (take_byte(&rest, ','))
				continue;
			if (!take_extension(&rest, &name, &params))
				return -EINVAL;
			if (!error)
				error = look(name, &params, terms);
		}
	}
	return error;
}

static struct crew__ws_terms terms_of(const struct params *p)
{
	return (struct crew__ws_terms){
		.deflate = true,
		.server_resets = p->there & SERVER_RESETS,
		.client_resets = p->there & CLIENT_RESETS,
		.bits_asked = p->there & SERVER_BITS,
		.server_bits = p->server_bits ? p->server_bits : CREW__WS_BITS_MOST,
		.client_bits = p->client_bits ? p->client_bits : CREW__WS_BITS_MOST,
	};
}

/* ---- the server ---------------------------------------------------------------------------- */

/* The first that can be taken; what else is there need only be well-formed. */
static int look_at_offer(crew_bytes name, const struct params *params, struct crew__ws_terms *terms)
{
	if (!terms->deflate && crew__http_same_word(name, NAME) && !params->bad)
		*terms = terms_of(params);
	return 0;
}

int crew__ws_extension_choose(
	const crew_header *fields, size_t count, bool resets, struct crew__ws_terms *ret_terms)
{
	struct crew__ws_terms terms = { 0 };
	int error = walk(fields, count, look_at_offer, &terms);
	if (error || !terms.deflate)
		return error;
	terms.server_resets |= resets;
	terms.client_resets |= resets;
	*ret_terms = terms;
	return 1;
}

/* A client that asked for a window hears of it, and of its own when it is smaller than usual: it
 * may not be told of one that it did not offer to bound. */
size_t crew__ws_extension_answer(
	const struct crew__ws_terms *terms, char room[CREW__WS_EXTENSION_ROOM])
{
	char server[32] = "", client[32] = "";
	if (terms->bits_asked)
		snprintf(server, sizeof(server), "; server_max_window_bits=%u", terms->server_bits);
	if (terms->client_bits < CREW__WS_BITS_MOST)
		snprintf(client, sizeof(client), "; client_max_window_bits=%u", terms->client_bits);
	return (size_t)snprintf(room, CREW__WS_EXTENSION_ROOM, NAME "%s%s%s%s",
		terms->server_resets ? "; server_no_context_takeover" : "",
		terms->client_resets ? "; client_no_context_takeover" : "", server, client);
}

/* ---- the client ---------------------------------------------------------------------------- */

const char *crew__ws_extension_offer(bool resets)
{
	return resets ? NAME "; server_no_context_takeover; client_no_context_takeover; "
			     "client_max_window_bits"
		      : NAME "; client_max_window_bits";
}

/* The one that was offered, once; with a bound of our window there comes a number. */
static int look_at_answer(
	crew_bytes name, const struct params *params, struct crew__ws_terms *terms)
{
	bool no_number = (params->there & CLIENT_BITS) && params->client_bits == 0;
	if (terms->deflate || !crew__http_same_word(name, NAME) || params->bad || no_number)
		return -EPROTO;
	*terms = terms_of(params);
	return 0;
}

int crew__ws_extension_accept(
	const crew_header *fields, size_t count, bool resets, struct crew__ws_terms *ret_terms)
{
	struct crew__ws_terms terms = { 0 };
	if (walk(fields, count, look_at_answer, &terms) < 0)
		return -EPROTO;
	if (!terms.deflate)
		return 0;
	if (resets && !terms.server_resets) /* section 7.1.1.1: to accept is to say so */
		return -EPROTO;
	terms.client_resets |= resets;
	*ret_terms = terms;
	return 1;
}
