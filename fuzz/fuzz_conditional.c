/* fuzz_conditional.c - dates, entity tags, conditions: what is read can be written and is read as
 * the same again, and the verdicts on a head are those that the rules of RFC 9110 section 13.2.2
 * give.
 *
 * An input is a byte that says how to look at it, then lines `Name:value`. */
#include "fuzz.h"

#include "proto/http1.h"
#include "web/conditional.h"
#include "web/date.h"

enum {
	FIELDS_MOST = 12
};

static const int64_t now = 1795000000;
static const struct crew__validators own = { { "\"abc-1\"", 7 }, 784111777 };

static void check_date(crew_bytes text)
{
	char written[30];
	int64_t seconds, again;
	if (!crew__date_read(text, now, &seconds))
		return;
	crew__must(seconds >= INT64_C(-62167219200) && seconds <= INT64_C(253402300800));
	if (seconds < 0 || seconds > INT64_C(253402300799))
		return; /* no such is ever written */
	crew__http_date(seconds, written);
	crew__must(crew__date_read((crew_bytes){ written, 29 }, now, &again) && again == seconds);
}

/* Weak comparison finds all that the strong one does; another element changes nothing. */
static void check_list(crew_bytes list)
{
	bool strong = crew__etag_listed(list, own.etag, false);
	bool weak = crew__etag_listed(list, own.etag, true);
	crew__must(!strong || weak);
	if (list.len == 0 || (list.len == 1 && list.data[0] == '*'))
		return;
	char *longer = malloc(list.len + 9);
	crew__must(longer);
	memcpy(longer, "W/\"z\" , ", 8);
	memcpy(longer + 8, list.data, list.len);
	crew_bytes both = { longer, list.len + 8 };
	crew__must(crew__etag_listed(both, own.etag, false) == strong);
	crew__must(crew__etag_listed(both, own.etag, true) == weak);
	free(longer);
}

/* The same once more, by the letter. */
static enum crew__condition by_the_letter(const struct crew__wishes *w, bool reading)
{
	int64_t date;
	bool match = false, none_match = false;
	for (size_t i = 0; i < w->header_count; i++) {
		const crew_header *h = &w->headers[i];
		if (crew__http_same(h->name, CREW_BYTES("if-match")))
			match = match || crew__etag_listed(h->value, own.etag, false);
		if (crew__http_same(h->name, CREW_BYTES("if-none-match")))
			none_match = none_match || crew__etag_listed(h->value, own.etag, true);
	}
	bool once_until = !(w->repeated >> CREW__WISH_UNMODIFIED_SINCE & 1);
	bool once_since = !(w->repeated >> CREW__WISH_MODIFIED_SINCE & 1);
	if (crew__wishes_have(w, CREW__WISH_MATCH)) {
		if (!match)
			return CREW__CONDITION_FAILED;
	} else if (crew__wishes_have(w, CREW__WISH_UNMODIFIED_SINCE) && once_until) {
		if (crew__date_read(w->value[CREW__WISH_UNMODIFIED_SINCE], now, &date) &&
			own.modified > date)
			return CREW__CONDITION_FAILED;
	}
	if (crew__wishes_have(w, CREW__WISH_NONE_MATCH)) {
		if (none_match)
			return reading ? CREW__CONDITION_NOT_MODIFIED : CREW__CONDITION_FAILED;
	} else if (reading && crew__wishes_have(w, CREW__WISH_MODIFIED_SINCE) && once_since) {
		if (crew__date_read(w->value[CREW__WISH_MODIFIED_SINCE], now, &date) &&
			own.modified <= date)
			return CREW__CONDITION_NOT_MODIFIED;
	}
	return CREW__CONDITION_HOLDS;
}

static void check_head(const crew_header *headers, size_t count, bool reading)
{
	struct crew__wishes w;
	crew__wishes_read(&w, headers, count);
	crew__must((w.repeated & ~w.present) == 0);
	crew__must(crew__condition_judge(&w, &own, reading, now) == by_the_letter(&w, reading));
	if (crew__range_counts(&w, &own, now) && crew__wishes_have(&w, CREW__WISH_IF_RANGE)) {
		crew_bytes value = w.value[CREW__WISH_IF_RANGE];
		int64_t date;
		bool tag = value.len == own.etag.len &&
			   memcmp(value.data, own.etag.data, value.len) == 0;
		bool then = crew__date_read(value, now, &date) && date == own.modified;
		crew__must(tag || then);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	crew_header headers[FIELDS_MOST];
	char *copies[FIELDS_MOST];
	size_t count = 0;
	bool reading = !(take_byte(&data, &size) & 1);
	const char *at = (const char *)data, *end = at + size;
	while (at < end && count < FIELDS_MOST) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		size_t len = line_end ? (size_t)(line_end - at) : (size_t)(end - at);
		char *copy = copies[count] = copy_of(at, len);
		const char *colon = len > 0 ? memchr(copy, ':', len) : NULL;
		size_t name = colon ? (size_t)(colon - copy) : 0;
		crew_bytes value = { copy + name + (colon != NULL), len - name - (colon != NULL) };
		headers[count++] = (crew_header){ { copy, name }, value };
		check_date(value);
		check_list(value);
		at = line_end ? line_end + 1 : end;
	}
	check_head(headers, count, reading);
	while (count > 0)
		free(copies[--count]);
	return 0;
}
