/* fuzz_preamble.h - one talk with a proxy, led twice: in one piece, and byte by byte. */
#ifndef CREW_FUZZ_PREAMBLE_H
#define CREW_FUZZ_PREAMBLE_H

#include "fuzz.h"

#include "base/preamble.h"

struct fuzz_talk {
	struct crew__preamble_talk talk;
	struct crew__buf out;
	int result;
	size_t used;
};

static void lead(struct fuzz_talk *t, const struct crew__preamble *kind, bool login,
	const char *data, size_t len, size_t piece)
{
	size_t here = 0;
	crew__buf_init(&t->out, 4096);
	t->talk = (struct crew__preamble_talk){ .kind = kind,
		.ask = { .host = "feed.example",
			.port = 443,
			.user = login ? "me" : NULL,
			.password = login ? "secret" : NULL } };
	crew__must(kind->begin(&t->talk, &t->out) == 0);
	while (t->result == 0 && here < len) {
		size_t used = 0;
		here = len - here < piece ? len : here + piece;
		char *copy = copy_of(data + t->used, here - t->used);
		t->result = kind->feed(
			&t->talk, (crew_bytes){ copy, here - t->used }, &used, &t->out);
		free(copy);
		crew__must(used <= here - t->used);
		t->used += used;
		/* What is kept for more never grows beyond what a proxy may say. */
		crew__must(t->result != 0 || here - t->used <= CREW__PREAMBLE_MOST);
	}
}

static void check_preamble(
	const struct crew__preamble *kind, bool login, const char *data, size_t len)
{
	struct fuzz_talk whole = { .result = 0 }, bytes = { .result = 0 };
	lead(&whole, kind, login, data, len, len > 0 ? len : 1);
	lead(&bytes, kind, login, data, len, 1);
	crew__must(whole.result == bytes.result && (whole.result <= 1));
	crew__must(strcmp(whole.talk.why, bytes.talk.why) == 0);
	crew__must((whole.result < 0) == (whole.talk.why[0] != '\0'));
	crew__must(whole.result != 1 || whole.used == bytes.used);
	crew__must(whole.used <= CREW__PREAMBLE_MOST || whole.result < 0);
	crew__must(whole.out.len == bytes.out.len &&
		   memcmp(whole.out.data, bytes.out.data, whole.out.len) == 0);
	for (const char *at = whole.talk.why; *at; at++)
		crew__must(*at >= ' ' && *at <= '~');
	/* Unless the proxy says it itself. */
	crew__must(!strstr(whole.talk.why, "secret") || memmem(data, len, "secret", 6));
	crew__buf_release(&whole.out);
	crew__buf_release(&bytes.out);
}

#endif
