/* conditional.c - requests that depend on what the client has already (RFC 9110 section 13). */
#include "web/conditional.h"

#include "proto/http1.h"
#include "web/date.h"

static const crew_bytes names[CREW__WISHES] = {
	[CREW__WISH_MATCH] = { "if-match", 8 },
	[CREW__WISH_NONE_MATCH] = { "if-none-match", 13 },
	[CREW__WISH_MODIFIED_SINCE] = { "if-modified-since", 17 },
	[CREW__WISH_UNMODIFIED_SINCE] = { "if-unmodified-since", 19 },
	[CREW__WISH_IF_RANGE] = { "if-range", 8 },
	[CREW__WISH_RANGE] = { "range", 5 },
	[CREW__WISH_ACCEPT_ENCODING] = { "accept-encoding", 15 },
};

/* ---- which fields are there ---------------------------------------------------------------- */

/* Lengths tell most of them apart, and from all others but a few. */
static enum crew__wish wish_of(crew_bytes name)
{
	for (unsigned i = 0; i < CREW__WISHES; i++)
		if (name.len == names[i].len && crew__http_same(name, names[i]))
			return (enum crew__wish)i;
	return CREW__WISHES;
}

void crew__wishes_read(
	struct crew__wishes *ret_wishes, const crew_header *headers, size_t header_count)
{
	ret_wishes->headers = headers;
	ret_wishes->header_count = header_count;
	ret_wishes->present = 0;
	ret_wishes->repeated = 0;
	for (size_t i = 0; i < header_count; i++) {
		enum crew__wish wish = wish_of(headers[i].name);
		if (crew__likely(wish == CREW__WISHES))
			continue;
		uint32_t bit = 1u << wish;
		if (ret_wishes->present & bit)
			ret_wishes->repeated |= bit;
		else
			ret_wishes->value[wish] = headers[i].value;
		ret_wishes->present |= bit;
	}
}

static bool once(const struct crew__wishes *w, enum crew__wish wish)
{
	return crew__wishes_have(w, wish) && !(w->repeated >> wish & 1);
}

/* ---- entity tags --------------------------------------------------------------------------- */

static const char *skip_spaces(const char *at, const char *end)
{
	while (at < end && crew__http_is_space(*at))
		at++;
	return at;
}

/* RFC 9110 section 8.8.3: visible bytes but the quote, and those beyond ASCII. */
static bool is_tag_byte(char byte)
{
	unsigned char value = (unsigned char)byte;
	return value == 0x21 || (value >= 0x23 && value <= 0x7e) || value >= 0x80;
}

/* The tag at `*at`, which then is behind it. False: there is none. */
static bool read_tag(const char **at, const char *end, crew_bytes *ret_tag)
{
	const char *begin = *at, *p = begin;
	if (end - p >= 2 && p[0] == 'W' && p[1] == '/')
		p += 2;
	if (p == end || *p++ != '"')
		return false;
	while (p < end && is_tag_byte(*p))
		p++;
	if (p == end || *p++ != '"')
		return false;
	*ret_tag = (crew_bytes){ begin, (size_t)(p - begin) };
	*at = p;
	return true;
}

static bool is_weak(crew_bytes tag)
{
	return tag.len > 0 && tag.data[0] == 'W';
}

static crew_bytes opaque(crew_bytes tag)
{
	return is_weak(tag) ? (crew_bytes){ tag.data + 2, tag.len - 2 } : tag;
}

static bool same_tag(crew_bytes a, crew_bytes b, bool weak)
{
	if (!weak && (is_weak(a) || is_weak(b)))
		return false;
	a = opaque(a);
	b = opaque(b);
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

bool crew__etag_listed(crew_bytes list, crew_bytes etag, bool weak)
{
	if (list.len == 0)
		return false;
	const char *at = list.data, *end = at + list.len;
	bool found = false;
	crew_bytes tag;
	if (list.len == 1 && *at == '*')
		return true;
	for (;;) {
		at = skip_spaces(at, end);
		if (at < end && *at != ',') {
			if (!read_tag(&at, end, &tag))
				return false;
			found = found || same_tag(tag, etag, weak);
			at = skip_spaces(at, end);
		}
		if (at == end)
			return found;
		if (*at++ != ',')
			return false;
	}
}

/* In any of the field's lines, which are one list (RFC 9110 section 5.3). */
static bool is_listed(
	const struct crew__wishes *w, enum crew__wish wish, crew_bytes etag, bool weak)
{
	if (crew__likely(once(w, wish)))
		return crew__etag_listed(w->value[wish], etag, weak);
	for (size_t i = 0; i < w->header_count; i++)
		if (wish_of(w->headers[i].name) == wish &&
			crew__etag_listed(w->headers[i].value, etag, weak))
			return true;
	return false;
}

/* ---- conditions ---------------------------------------------------------------------------- */

/* A date that came twice, or is none, is as if it were not there. */
static bool date_of(
	const struct crew__wishes *w, enum crew__wish wish, int64_t now, int64_t *ret_seconds)
{
	return once(w, wish) && crew__date_read(w->value[wish], now, ret_seconds);
}

/* Steps 1 and 2: is what the client wants to act on still the same? */
static bool is_as_expected(
	const struct crew__wishes *w, const struct crew__validators *v, int64_t now)
{
	int64_t date;
	if (crew__wishes_have(w, CREW__WISH_MATCH))
		return is_listed(w, CREW__WISH_MATCH, v->etag, false);
	return !date_of(w, CREW__WISH_UNMODIFIED_SINCE, now, &date) || v->modified <= date;
}

/* Steps 3 and 4: has the client the same already? */
static bool is_known(
	const struct crew__wishes *w, const struct crew__validators *v, bool reading, int64_t now)
{
	int64_t date;
	if (crew__wishes_have(w, CREW__WISH_NONE_MATCH))
		return is_listed(w, CREW__WISH_NONE_MATCH, v->etag, true);
	return reading && date_of(w, CREW__WISH_MODIFIED_SINCE, now, &date) && v->modified <= date;
}

enum crew__condition crew__condition_judge(
	const struct crew__wishes *w, const struct crew__validators *v, bool reading, int64_t now)
{
	const uint32_t conditions = 1u << CREW__WISH_MATCH | 1u << CREW__WISH_NONE_MATCH |
				    1u << CREW__WISH_MODIFIED_SINCE |
				    1u << CREW__WISH_UNMODIFIED_SINCE;
	if (crew__likely((w->present & conditions) == 0))
		return CREW__CONDITION_HOLDS;
	if (!is_as_expected(w, v, now))
		return CREW__CONDITION_FAILED;
	if (is_known(w, v, reading, now))
		return reading ? CREW__CONDITION_NOT_MODIFIED : CREW__CONDITION_FAILED;
	return CREW__CONDITION_HOLDS;
}

bool crew__range_counts(const struct crew__wishes *w, const struct crew__validators *v, int64_t now)
{
	crew_bytes value = w->value[CREW__WISH_IF_RANGE];
	int64_t date;
	if (!crew__wishes_have(w, CREW__WISH_IF_RANGE))
		return true;
	if (!once(w, CREW__WISH_IF_RANGE) || value.len == 0)
		return false;
	if (value.data[value.len - 1] == '"')
		return same_tag(value, v->etag, false);
	return crew__date_read(value, now, &date) && date == v->modified && now > v->modified;
}
