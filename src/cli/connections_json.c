/* connections_json.c - rows as JSON: an array with an object for each connection.
 *
 * There may be very many, so one object is made, filled anew for each row and written; the array
 * around them is the only JSON that is written by hand. */
#include "cli/connections_json.h"

#include "cli/when.h"

#include <inttypes.h>
#include <string.h>

enum {
	FIELDS_MAX = 32
};

struct page {
	const struct crew__connection_field *fields;
	size_t field_count;
	json_t *object;
	json_t *values[FIELDS_MAX];
	json_t *reasons[CREW_LOST_REASONS];
};

static json_t *empty_value(enum crew__field_kind kind)
{
	switch (kind) {
	case CREW__FIELD_NUMBER:
		return json_integer(0);
	case CREW__FIELD_SECONDS:
		return json_real(0);
	case CREW__FIELD_REASONS:
		return json_object();
	case CREW__FIELD_VERDICT:
		return json_null();
	case CREW__FIELD_ID:
	case CREW__FIELD_TEXT:
	case CREW__FIELD_ADDRESS:
	case CREW__FIELD_TIME:
		break;
	}
	return json_string("");
}

static int make_reasons(struct page *page, json_t *object)
{
	for (crew_reason i = 0; i < CREW_LOST_REASONS; i++) {
		page->reasons[i] = json_integer(0);
		if (json_object_set_new(object, crew_reason_name(i), page->reasons[i]))
			return -ENOMEM;
	}
	return 0;
}

static int make_page(
	struct page *page, const struct crew__connection_field *fields, size_t field_count)
{
	*page = (struct page){ .fields = fields,
		.field_count = crew__min(field_count, FIELDS_MAX),
		.object = json_object() };
	for (size_t i = 0; i < page->field_count; i++) {
		json_t *value = empty_value(fields[i].kind);
		if (json_object_set_new(page->object, fields[i].key, value))
			return -ENOMEM;
		if (fields[i].kind == CREW__FIELD_REASONS && make_reasons(page, value))
			return -ENOMEM;
		page->values[i] = value;
	}
	return 0;
}

static int set_number(json_t *value, uint64_t number)
{
	return json_integer_set(value, number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

static int fill_reasons(struct page *page, const uint32_t *fail)
{
	int failed = 0;
	for (size_t i = 0; i < CREW_LOST_REASONS; i++)
		failed |= set_number(page->reasons[i], fail[i]);
	return failed;
}

/* It is a text or null: of the next row perhaps the other. */
static int fill_verdict(struct page *page, const char *key, const char *verdict)
{
	return json_object_set_new(page->object, key, verdict ? json_string(verdict) : json_null());
}

static int fill_value(struct page *page, size_t index, const void *row)
{
	const struct crew__connection_field *field = &page->fields[index];
	const void *from = (const char *)row + field->member;
	json_t *value = page->values[index];
	char text[CREW__WHEN_MAX];
	switch (field->kind) {
	case CREW__FIELD_NUMBER:
		return set_number(value, *(const uint64_t *)from);
	case CREW__FIELD_SECONDS:
		return json_real_set(value, *(const double *)from);
	case CREW__FIELD_ID:
		snprintf(text, sizeof(text), "%016" PRIx64, *(const uint64_t *)from);
		return json_string_set(value, text);
	case CREW__FIELD_TEXT:
		return json_string_set(value, *(const char *const *)from);
	case CREW__FIELD_ADDRESS:
		return json_string_set(value, from);
	case CREW__FIELD_REASONS:
		return fill_reasons(page, from);
	case CREW__FIELD_VERDICT:
		return fill_verdict(page, field->key, *(const char *const *)from);
	case CREW__FIELD_TIME:
		return json_string_set(value, crew__when_iso(*(const int64_t *)from, text));
	}
	return 0;
}

static int fill_page(struct page *page, const void *row)
{
	int failed = 0;
	for (size_t i = 0; i < page->field_count; i++)
		failed |= fill_value(page, i, row);
	return failed;
}

static int print_row(struct page *page, const void *row, FILE *out)
{
	int failed = fill_page(page, row);
	if (!failed)
		failed = json_dumpf(page->object, out, JSON_COMPACT | JSON_REAL_PRECISION(10));
	return failed ? -ENOMEM : 0;
}

int crew__rows_json(const struct crew__rows *rows, FILE *out)
{
	struct page page;
	int error = make_page(&page, rows->fields, rows->field_count);
	if (!error)
		fputc('[', out);
	for (size_t i = 0; i < rows->count && !error; i++) {
		fputs(i ? ",\n" : "\n", out);
		error = print_row(&page, (const char *)rows->rows + i * rows->size, out);
	}
	if (!error)
		fputs(rows->count ? "\n]\n" : "]\n", out);
	json_decref(page.object);
	return error;
}

int crew__connections_json(const struct crew__connections *connections, FILE *out)
{
	const struct crew__rows rows = { .rows = connections->rows,
		.count = connections->count,
		.size = sizeof(*connections->rows),
		.fields = crew__connection_fields,
		.field_count = CREW__CONNECTION_FIELDS };
	return crew__rows_json(&rows, out);
}

json_t *crew__row_object(
	const void *row, const struct crew__connection_field *fields, size_t field_count)
{
	struct page page;
	if (!make_page(&page, fields, field_count) && !fill_page(&page, row))
		return page.object;
	json_decref(page.object);
	return NULL;
}
