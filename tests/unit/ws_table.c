/* ws_table.c - see ws_table.h. */
#include "ws_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

/* ---- reading -------------------------------------------------------------------------------- */

static char *read_file(void)
{
	static const char name[] = "../data/ws_cases.txt";
	char path[1000];
	const char *slash = strrchr(__FILE__, '/');
	assert_non_null(slash);
	snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - __FILE__), __FILE__, name);
	FILE *file = fopen(path, "r");
	if (!file)
		fail_msg("cannot open %s", path);
	char *text = NULL;
	size_t size = 0;
	assert_true(getdelim(&text, &size, '\0', file) > 0);
	fclose(file);
	return text;
}

/* The next of the fields of a line. */
static char *field(char **line)
{
	char *start = *line;
	char *bar = strstr(start, " | ");
	if (bar) {
		*bar = '\0';
		*line = bar + 3;
	}
	return start;
}

static void read_options(struct ws_case *c, char *words)
{
	c->server = c->client = true;
	for (char *rest, *word = strtok_r(words, " ", &rest); word;
		word = strtok_r(NULL, " ", &rest)) {
		if (strcmp(word, "server") == 0)
			c->client = false;
		else if (strcmp(word, "client") == 0)
			c->server = false;
		else if (strcmp(word, "deflate") == 0)
			c->deflate = true;
		else if (strcmp(word, "takeover") == 0)
			c->takeover = true;
		else if (strcmp(word, "shared") == 0)
			c->shared = true;
		else if (strcmp(word, "early") == 0)
			c->early = true;
		else if (strcmp(word, "open") != 0)
			assert_string_equal(word, "-");
	}
}

struct ws_table ws_table_read(void)
{
	struct ws_table t = { .text = read_file() };
	size_t room = 2000;
	t.cases = calloc(room, sizeof(*t.cases));
	assert_non_null(t.cases);
	for (char *rest, *line = strtok_r(t.text, "\n", &rest); line;
		line = strtok_r(NULL, "\n", &rest)) {
		if (*line == '#')
			continue;
		assert_true(t.count < room);
		struct ws_case *c = &t.cases[t.count++];
		c->section = field(&line);
		c->name = field(&line);
		read_options(c, field(&line));
		c->frames = field(&line);
		c->events = field(&line);
		if (strcmp(c->events, "-") == 0)
			c->events = "";
	}
	return t;
}

void ws_table_free(struct ws_table *t)
{
	free(t->cases);
	free(t->text);
}

/* ---- frames --------------------------------------------------------------------------------- */

static unsigned hex_digits(const char *at, int count)
{
	char digits[9] = { 0 };
	char *end;
	assert_true(count < (int)sizeof(digits));
	memcpy(digits, at, (size_t)count);
	unsigned value = (unsigned)strtoul(digits, &end, 16);
	assert_ptr_equal(end, digits + count);
	return value;
}

/* Expand payload up to `stop` into the stream; returns where it stands. */
static const char *put_payload(struct ws_stream *s, const char *at, char stop)
{
	while (*at != stop) {
		assert_true(*at != '\0');
		if (*at != '\\') {
			ws_put(s, at++, 1);
		} else if (at[1] == 'x') {
			char byte = (char)hex_digits(at + 2, 2);
			ws_put(s, &byte, 1);
			at += 4;
		} else {
			assert_int_equal(at[1], '{');
			size_t start = s->len;
			at = put_payload(s, at + 2, '*');
			size_t len = s->len - start;
			char *end;
			unsigned long times = strtoul(at + 1, &end, 10);
			assert_true(*end == '}' && times > 0);
			for (unsigned long i = 1; i < times; i++)
				ws_put(s, s->data + start, len);
			at = end + 1;
		}
	}
	return at;
}

/* What stands between a frame's first byte and its payload. */
struct shape {
	unsigned width; /* 1: as it needs */
	uint64_t len;
	bool lies, wrong_way;
	unsigned char mask[4];
};

static const char *read_shape(struct shape *shape, const char *at)
{
	*shape = (struct shape){ .width = 1, .mask = { 0x9D, 0x21, 0xF3, 0x08 } };
	while (*at != '(') {
		char *end = (char *)(uintptr_t)at + 1;
		switch (*at) {
		case 'w':
			shape->width = (unsigned)strtoul(at + 1, &end, 10);
			break;
		case 'n':
			shape->len = strtoull(at + 1, &end, 10);
			shape->lies = true;
			break;
		case 'm':
			for (int i = 0; i < 4; i++)
				shape->mask[i] = (unsigned char)hex_digits(at + 1 + 2 * i, 2);
			end += 8;
			break;
		case 'u':
			shape->wrong_way = true;
			break;
		default:
			fail_msg("no such thing in a frame: %s", at);
		}
		at = end;
	}
	return at;
}

static void put_frame(struct ws_stream *s, unsigned byte0, const struct shape *shape,
	const struct ws_stream *payload, bool client)
{
	bool masked = client == shape->wrong_way;
	uint64_t len = shape->lies ? shape->len : payload->len;
	unsigned width = shape->width != 1 ? shape->width : len < 126 ? 0 : len < 65536 ? 2 : 8;
	char head[10] = { (char)byte0 };
	head[1] = (char)((masked ? 0x80u : 0) | (width == 0          ? (unsigned)len
							: width == 2 ? 126u
								     : 127u));
	for (unsigned i = 0; i < width; i++)
		head[2 + i] = (char)(len >> (8 * (width - 1 - i)));
	ws_put(s, head, 2 + width);
	if (masked)
		ws_put(s, shape->mask, 4);
	size_t start = s->len;
	ws_put(s, payload->data, payload->len);
	for (size_t i = 0; masked && i < payload->len; i++)
		s->data[start + i] = (char)(s->data[start + i] ^ (char)shape->mask[i & 3]);
}

static const char *put_frames(struct ws_stream *s, const char *at, bool client)
{
	struct shape shape;
	unsigned byte0 = hex_digits(at, 2);
	at = read_shape(&shape, at + 2);
	struct ws_stream payload = ws_stream_new();
	at = put_payload(&payload, at + 1, ')') + 1;
	unsigned long times = 1;
	if (*at == '*') {
		char *end;
		times = strtoul(at + 1, &end, 10);
		at = end;
	}
	for (unsigned long i = 0; i < times; i++)
		put_frame(s, byte0, &shape, &payload, client);
	free(payload.data);
	return at;
}

static const char *put_raw(struct ws_stream *s, const char *at)
{
	for (at++; *at != '>'; at += 2) {
		char byte = (char)hex_digits(at, 2);
		ws_put(s, &byte, 1);
	}
	return at + 1;
}

struct ws_stream ws_case_stream(const struct ws_case *c, bool client)
{
	struct ws_stream s = ws_stream_new();
	for (const char *at = c->frames; *at != '\0';) {
		if (*at == ' ')
			at++;
		else if (*at == '<')
			at = put_raw(&s, at);
		else
			at = put_frames(&s, at, client);
	}
	return s;
}

/* ---- events --------------------------------------------------------------------------------- */

static char *tell_body(char *out, crew_bytes body)
{
	if (body.len == 0)
		return out;
	if (body.len > 48)
		return out + sprintf(out, " #%zu:%08lx", body.len,
				     crc32(0, (const Bytef *)body.data, (uInt)body.len));
	*out++ = ' ';
	for (size_t i = 0; i < body.len; i++) {
		unsigned char byte = (unsigned char)body.data[i];
		bool plain = byte > ' ' && byte < 0x7F && !strchr("\\()|{}*;#", byte);
		out += sprintf(out, plain ? "%c" : "\\x%02X", byte);
	}
	return out;
}

char *ws_table_tell(char *out, const struct crew__ws_event *e)
{
	static const char *const names[] = { "", "msg", "", "ping", "pong", "close", "bad" };
	assert_true(e->kind == CREW__WS_MESSAGE || e->kind > CREW__WS_PART);
	const char *name = e->kind == CREW__WS_MESSAGE && e->text ? "text" : names[e->kind];
	out += sprintf(out, "%s", name);
	if (e->code != 0)
		out += sprintf(out, " %u", e->code);
	out = tell_body(out, e->body);
	return out + sprintf(out, ";");
}
