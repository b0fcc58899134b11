/* fuzz_cookie.c - Cookie fields: what stands between two semicolons is read the same alone or among
 * others; Set-Cookie fields: nothing gets in that ends the value or the field, and what is written
 * is read again. */
#include "fuzz.h"

#include "proto/http1.h"
#include "web/cookie.h"

struct cookies {
	crew_header *items;
	size_t count, capacity;
};

static void read_field(struct crew__arena *arena, crew_bytes field, struct cookies *cookies)
{
	crew__must(crew__cookie_read(field, arena, &cookies->items, &cookies->count,
			   &cookies->capacity) == 0);
}

static void read_one_by_one(struct crew__arena *arena, crew_bytes field, struct cookies *cookies)
{
	while (field.len > 0) {
		const char *end = memchr(field.data, ';', field.len);
		size_t len = end ? (size_t)(end - field.data) : field.len;
		read_field(arena, (crew_bytes){ field.data, len }, cookies);
		field.data += len + (end != NULL);
		field.len -= len + (end != NULL);
	}
}

static void check_reading(crew_bytes field)
{
	struct crew__arena arena = { .max = 256 << 20 };
	struct cookies whole = { 0 }, single = { 0 };
	struct transcript of_whole = { 0 }, of_single = { 0 };
	read_field(&arena, field, &whole);
	read_one_by_one(&arena, field, &single);
	crew__must(whole.count == single.count);
	for (size_t i = 0; i < whole.count; i++) {
		crew__must(whole.items[i].name.len > 0);
		crew__must(!memchr(whole.items[i].name.data, '=', whole.items[i].name.len));
		note_bytes(&of_whole, whole.items[i].name);
		note_bytes(&of_whole, whole.items[i].value);
		note_bytes(&of_single, single.items[i].name);
		note_bytes(&of_single, single.items[i].value);
	}
	crew__must(same(&of_whole, &of_single));
	free(of_whole.data);
	free(of_single.data);
	crew__arena_release(&arena);
}

/* Up to the next line feed, with a NUL behind it. */
static char *take_text(crew_bytes *input)
{
	const char *end = input->len > 0 ? memchr(input->data, '\n', input->len) : NULL;
	size_t len = end ? (size_t)(end - input->data) : input->len;
	char *text = malloc(len + 1);
	crew__must(text);
	if (len > 0)
		memcpy(text, input->data, len);
	text[len] = '\0';
	input->data += len + (end != NULL);
	input->len -= len + (end != NULL);
	return text;
}

static void check_written(const crew_cookie *cookie, const char *text, size_t len)
{
	struct crew__arena arena = { .max = 1 << 20 };
	struct cookies read = { 0 };
	crew__must(crew__http_field_value((crew_bytes){ text, len }));
	const char *end = memchr(text, ';', len);
	crew__must(end); /* there is a path at least */
	read_field(&arena, (crew_bytes){ text, (size_t)(end - text) }, &read);
	crew__must(read.count == 1);
	crew__must(read.items[0].name.len == strlen(cookie->name));
	crew__must(memcmp(read.items[0].name.data, cookie->name, read.items[0].name.len) == 0);
	crew__must(read.items[0].value.len == cookie->value.len);
	crew__must(cookie->value.len == 0 ||
		   memcmp(read.items[0].value.data, cookie->value.data, cookie->value.len) == 0);
	crew__arena_release(&arena);
}

static void check_writing(crew_bytes input, unsigned way)
{
	char room[CREW__COOKIE_TEXT_MOST];
	char *name = take_text(&input), *path = take_text(&input), *domain = take_text(&input);
	crew_cookie cookie = {
		.name = name,
		.value = input,
		.path = way & 1 ? path : NULL,
		.domain = way & 2 ? domain : NULL,
		.secure = way & 4,
		.script = way & 8,
		.same_site = (crew_same_site)(way >> 4 & 3),
		.max_age_s = (int64_t)(way >> 6) - 1,
	};
	int len = crew__cookie_write(&cookie, room, sizeof(room));
	crew__must(len > 0 || len == -EINVAL || len == -EMSGSIZE);
	if (len > 0)
		check_written(&cookie, room, (size_t)len);
	free(name);
	free(path);
	free(domain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned writing = take_byte(&data, &size) % 2;
	unsigned way = writing ? take_byte(&data, &size) : 0;
	char *copy = copy_of(data, size);
	crew_bytes input = { copy, size };
	if (writing)
		check_writing(input, way);
	else
		check_reading(input);
	free(copy);
	return 0;
}
