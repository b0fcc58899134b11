/* fuzz_form.c - urlencoded texts: any text is one, and its pairs, encoded again in another way, are
 * the same pairs. */
#include "fuzz.h"

#include "web/form.h"

static void put_coded(struct transcript *out, crew_bytes text, struct cutter *cutter)
{
	static const char hex[] = "0123456789abcdefABCDEF";
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		unsigned upper = cutter_next(cutter) % 2 ? 6 : 0;
		const char coded[3] = { '%', hex[(c >> 4) + (c >> 4 > 9 ? upper : 0)],
			hex[(c & 15) + ((c & 15) > 9 ? upper : 0)] };
		bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
		if (c == ' ' && cutter_next(cutter) % 2)
			note(out, "+", 1);
		else if (letter && cutter_next(cutter) % 2)
			note(out, &c, 1);
		else
			note(out, coded, sizeof(coded));
	}
}

static struct transcript encode(const crew_header *items, size_t count, unsigned seed)
{
	struct transcript out = { 0 };
	struct cutter cutter = cutter_of(seed);
	for (size_t i = 0; i < count; i++) {
		put_coded(&out, items[i].name, &cutter);
		note(&out, "=", 1);
		put_coded(&out, items[i].value, &cutter);
		note(&out, "&&", cutter_next(&cutter) % 2 + 1);
	}
	return out;
}

static void compare(const crew_header *a, const crew_header *b, size_t count)
{
	struct transcript of_a = { 0 }, of_b = { 0 };
	for (size_t i = 0; i < count; i++) {
		note_bytes(&of_a, a[i].name);
		note_bytes(&of_a, a[i].value);
		note_bytes(&of_b, b[i].name);
		note_bytes(&of_b, b[i].value);
	}
	crew__must(same(&of_a, &of_b));
	free(of_a.data);
	free(of_b.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct crew__arena arena = { .max = 64 << 20 };
	const crew_header *items = NULL, *again = NULL;
	size_t count = 0, again_count = 0;
	unsigned seed = take_byte(&data, &size);
	char *text = copy_of(data, size);
	int error = crew__form_read((crew_bytes){ text, size }, &arena, &items, &count);
	crew__must(error == 0 || (error == -E2BIG && size >= CREW__FORM_PAIRS_MOST));
	if (error == 0) {
		crew__must(count <= (size + 1) / 2 && count <= CREW__FORM_PAIRS_MOST);
		struct transcript coded = encode(items, count, seed);
		crew_bytes coded_text = { coded.data, coded.len };
		crew__must(crew__form_read(coded_text, &arena, &again, &again_count) == 0);
		crew__must(again_count == count);
		compare(items, again, count);
		free(coded.data);
	}
	crew__arena_release(&arena);
	free(text);
	return 0;
}
