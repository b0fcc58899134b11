/* accept.c - see accept.h. */
#include "web/accept.h"

#include "proto/http1.h"

#include <string.h>

/* How exactly an element names what it is asked about. */
enum exactness {
	NOT_AT_ALL,
	ANYTHING,    /* "*" or "*" "/" "*" */
	KIND,        /* "text" "/" "*" */
	WITH_PARAMS, /* "text/html;level=1" */
	BY_NAME,
};

struct wish {
	enum exactness exactness;
	unsigned weight;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static crew_bytes trimmed(crew_bytes text)
{
	while (text.len > 0 && is_space(*text.data)) {
		text.data++;
		text.len--;
	}
	while (text.len > 0 && is_space(text.data[text.len - 1]))
		text.len--;
	return text;
}

/* What stands before the next `mark` outside of quotes, and takes it away with the mark. False at
 * the end. */
static bool next_piece(crew_bytes *rest, char mark, crew_bytes *ret_piece)
{
	bool quoted = false;
	size_t i = 0;
	if (!rest->data)
		return false;
	for (; i < rest->len && (quoted || rest->data[i] != mark); i++) {
		if (rest->data[i] == '"')
			quoted = !quoted;
		else if (quoted && rest->data[i] == '\\')
			i++;
	}
	i = crew__min(i, rest->len);
	*ret_piece = trimmed((crew_bytes){ rest->data, i });
	if (i < rest->len)
		*rest = (crew_bytes){ rest->data + i + 1, rest->len - i - 1 };
	else
		*rest = (crew_bytes){ NULL, 0 };
	return true;
}

/* A qvalue: "1", "0.25"; at most three digits behind the point. -1: it is none. */
static int weight_of(crew_bytes text)
{
	int weight = 0, unit = 100;
	if (text.len == 0 || text.len > 5 || (text.data[0] != '0' && text.data[0] != '1'))
		return -1;
	if (text.len > 1 && text.data[1] != '.')
		return -1;
	weight = (text.data[0] - '0') * 1000;
	for (size_t i = 2; i < text.len; i++, unit /= 10) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return -1;
		weight += (text.data[i] - '0') * unit;
	}
	return weight <= 1000 ? weight : -1;
}

static bool is_weight(crew_bytes param)
{
	return param.len >= 2 && (param.data[0] | 0x20) == 'q' && param.data[1] == '=';
}

/* Name, other params or not, weight. False: not well formed. */
static bool take_apart(
	crew_bytes element, crew_bytes *ret_name, bool *ret_params, unsigned *ret_weight)
{
	crew_bytes piece;
	*ret_params = false;
	*ret_weight = 1000;
	if (!next_piece(&element, ';', ret_name) || ret_name->len == 0)
		return false;
	while (next_piece(&element, ';', &piece)) {
		if (is_weight(piece)) {
			int weight = weight_of((crew_bytes){ piece.data + 2, piece.len - 2 });
			if (weight < 0)
				return false;
			*ret_weight = (unsigned)weight;
		} else if (piece.len > 0) {
			*ret_params = true;
		}
	}
	return true;
}

typedef enum exactness match_fn(crew_bytes name, const char *wanted);

static enum exactness match_type(crew_bytes range, const char *type)
{
	if (crew__http_same_word(range, type))
		return BY_NAME;
	if (crew__http_same_word(range, "*/*"))
		return ANYTHING;
	size_t kind = (size_t)(strchrnul(type, '/') - type) + 1;
	bool all = range.len == kind + 1 && range.data[kind] == '*';
	return all && crew__http_same((crew_bytes){ range.data, kind }, (crew_bytes){ type, kind })
		       ? KIND
		       : NOT_AT_ALL;
}

static enum exactness match_coding(crew_bytes name, const char *coding)
{
	if (crew__http_same_word(name, coding) ||
		(crew__http_same_word(name, "x-gzip") && strcmp(coding, "gzip") == 0))
		return BY_NAME;
	return crew__http_same_word(name, "*") ? ANYTHING : NOT_AT_ALL;
}

/* The element that names it most exactly; of equals the first. */
static void look_through(crew_bytes list, match_fn *match, const char *wanted, struct wish *best)
{
	crew_bytes element, name;
	unsigned weight;
	bool params;
	while (next_piece(&list, ',', &element)) {
		if (!take_apart(element, &name, &params, &weight))
			continue;
		enum exactness exactness = match(name, wanted);
		if (exactness == BY_NAME && params)
			exactness = WITH_PARAMS;
		if (exactness > best->exactness)
			*best = (struct wish){ exactness, weight };
	}
}

/* False: there is no such field, or it says nothing. */
static bool look_up(const crew_header *fields, size_t count, const char *field, match_fn *match,
	const char *wanted, struct wish *ret_wish)
{
	bool there = false;
	*ret_wish = (struct wish){ NOT_AT_ALL, 0 };
	for (size_t i = 0; i < count; i++) {
		if (!crew__http_same_word(fields[i].name, field))
			continue;
		there = there || trimmed(fields[i].value).len > 0;
		look_through(fields[i].value, match, wanted, ret_wish);
	}
	return there;
}

static struct wish wish_for_type(const crew_header *fields, size_t count, const char *type)
{
	struct wish wish;
	if (!look_up(fields, count, "Accept", match_type, type, &wish))
		wish = (struct wish){ ANYTHING, 1000 };
	return wish;
}

unsigned crew__accept_type(const crew_header *fields, size_t count, const char *type)
{
	return wish_for_type(fields, count, type).weight;
}

bool crew__accept_prefers(
	const crew_header *fields, size_t count, const char *type, const char *to_type)
{
	struct wish one = wish_for_type(fields, count, type);
	struct wish other = wish_for_type(fields, count, to_type);
	if (one.weight != other.weight)
		return one.weight > other.weight;
	return one.weight > 0 && one.exactness > other.exactness;
}

unsigned crew__accept_coding(const crew_header *fields, size_t count, const char *coding)
{
	struct wish wish;
	look_up(fields, count, "Accept-Encoding", match_coding, coding, &wish);
	if (strcmp(coding, "identity") == 0 &&
		(wish.exactness == NOT_AT_ALL || (wish.exactness == ANYTHING && wish.weight > 0)))
		return 1000;
	return wish.weight;
}
