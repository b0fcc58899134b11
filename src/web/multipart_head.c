#include "web/multipart_head.h"

#include "proto/http1.h"
#include "base/utf8.h"
#include "web/field_params.h"
#include "web/percent.h"

#define IS(bytes, word) crew__http_same(bytes, CREW_BYTES(word))

/* What has been seen. */
struct reading {
	struct crew__part_head head;
	bool disposition, name, filename, extended, better, type, coding;
};

/* ---- names ---------------------------------------------------------------------------------- */

/* The byte that stands for two or three at `at`, with how many those are; 0: it stands for itself.
 */
static size_t escape_at(const char *at, size_t left, char *ret_byte)
{
	if (left > 1 && at[0] == '\\' && (at[1] == '"' || at[1] == '\\')) {
		*ret_byte = at[1];
		return 2;
	}
	int byte = left > 2 && at[0] == '%' ? crew__percent_byte(at + 1) : -1;
	*ret_byte = (char)byte;
	return byte == '"' || byte == '\r' || byte == '\n' ? 3 : 0;
}

/* In place: `text` lies in the caller's bytes. */
static crew_bytes unescape(crew_bytes text)
{
	char *start = (char *)(uintptr_t)text.data;
	char *to = start;
	for (size_t i = 0; i < text.len;) {
		char byte;
		size_t taken = escape_at(text.data + i, text.len - i, &byte);
		*to++ = taken > 0 ? byte : text.data[i];
		i += taken > 0 ? taken : 1;
	}
	return (crew_bytes){ start, (size_t)(to - start) };
}

static crew_bytes last_component(crew_bytes name)
{
	for (size_t i = name.len; i > 0; i--) {
		if (name.data[i - 1] == '/' || name.data[i - 1] == '\\') {
			name = (crew_bytes){ name.data + i, name.len - i };
			break;
		}
	}
	bool directory = (name.len == 1 && name.data[0] == '.') ||
			 (name.len == 2 && memcmp(name.data, "..", 2) == 0);
	return directory ? (crew_bytes){ name.data, 0 } : name;
}

/* charset'language'text, in place. False when we do not know the charset, or it is not what it
 * says: then there may still be a plain filename. */
static bool decode_extended(crew_bytes text, crew_bytes *ret_name)
{
	const char *end = text.data + text.len;
	const char *charset = memchr(text.data, '\'', text.len);
	const char *language = charset ? memchr(charset + 1, '\'', (size_t)(end - charset - 1))
				       : NULL;
	if (!language || !IS(((crew_bytes){ text.data, (size_t)(charset - text.data) }), "utf-8"))
		return false;
	char *out = (char *)(uintptr_t)(language + 1);
	crew_bytes coded = { out, (size_t)(end - out) };
	if (!crew__percent_good(coded))
		return false;
	int64_t len = crew__percent_decode(coded, out, false);
	*ret_name = (crew_bytes){ out, len < 0 ? 0 : (size_t)len };
	return len >= 0 && crew__utf8_valid(*ret_name);
}

/* ---- fields --------------------------------------------------------------------------------- */

static bool once(bool *seen)
{
	bool first = !*seen;
	*seen = true;
	return first;
}

static bool take_param(struct reading *r, const struct crew__field_param *param)
{
	crew_bytes better;
	if (IS(param->name, "name")) {
		r->head.name = unescape(param->value);
		return once(&r->name);
	}
	if (IS(param->name, "name*")) /* of libraries whose fields have names beyond ASCII */
		return once(&r->name) && decode_extended(param->value, &r->head.name);
	if (IS(param->name, "filename")) {
		if (!r->better)
			r->head.filename = last_component(unescape(param->value));
		return once(&r->filename);
	}
	if (!IS(param->name, "filename*"))
		return true;
	if (decode_extended(param->value, &better)) {
		r->head.filename = last_component(better);
		r->better = true;
	}
	return once(&r->extended);
}

static int take_disposition(struct reading *r, crew_bytes value)
{
	struct crew__field_params params;
	struct crew__field_param param;
	int more;
	if (!once(&r->disposition))
		return -EINVAL;
	if (!IS(crew__field_params_begin(&params, value), "form-data"))
		return -EINVAL;
	while ((more = crew__field_params_next(&params, &param)) > 0)
		if (!take_param(r, &param))
			return -EINVAL;
	return more < 0 || !r->name ? -EINVAL : 0;
}

/* RFC 7578 section 4.7: nobody should send this field; these values change nothing. */
static bool changes_nothing(crew_bytes coding)
{
	return IS(coding, "binary") || IS(coding, "8bit") || IS(coding, "7bit");
}

static int take_field(struct reading *r, crew_bytes name, crew_bytes value)
{
	if (IS(name, "content-disposition"))
		return take_disposition(r, value);
	if (IS(name, "content-type")) {
		r->head.type = value;
		return once(&r->type) ? 0 : -EINVAL;
	}
	if (IS(name, "content-transfer-encoding"))
		return once(&r->coding) && changes_nothing(value) ? 0 : -EINVAL;
	return 0;
}

static int take_line(struct reading *r, char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	if (!colon)
		return -EINVAL;
	crew_bytes name = { line, (size_t)(colon - line) };
	crew_bytes value = { colon + 1, len - name.len - 1 };
	while (value.len > 0 && (value.data[0] == ' ' || value.data[0] == '\t')) {
		value.data++;
		value.len--;
	}
	while (value.len > 0 &&
		(value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t'))
		value.len--;
	/* A folded line begins with a space and so has no token before its colon. */
	if (!crew__http_token(name) || !crew__http_field_value(value))
		return -EINVAL;
	return take_field(r, name, value);
}

int crew__part_head_read(char *data, size_t len, struct crew__part_head *ret_head)
{
	struct reading r = { .head.type = { "", 0 } };
	char *end = data + len;
	while (data < end) {
		char *stop = memmem(data, (size_t)(end - data), "\r\n", 2);
		if (!stop || take_line(&r, data, (size_t)(stop - data)) < 0)
			return -EINVAL;
		data = stop + 2;
	}
	if (!r.disposition)
		return -EINVAL;
	r.head.is_file = r.filename || r.extended;
	*ret_head = r.head;
	return 0;
}
