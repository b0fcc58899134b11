/* fuzz_session.c - a session as a store gives it back: what is taken is what would be stored again,
 * byte for byte; what is refused leaves nothing behind. */
#include "fuzz.h"

#include "web/session.h"

#define SCOPE "sid /"

static void check_values(struct crew__values *v, crew_bytes stored)
{
	char *data;
	size_t len, count;
	crew__must(crew__values_encode(v, SCOPE, &data, &len) == 0);
	crew__must(len == stored.len && memcmp(data, stored.data, len) == 0);
	free(data);
	const crew_header *all = crew__values_all(v, &count);
	size_t bytes = 0;
	for (size_t i = 0; i < count; i++) {
		crew__must(all[i].name.len > 0 && strlen(all[i].name.data) == all[i].name.len);
		crew__must(all[i].value.data[all[i].value.len] == '\0');
		crew__must(crew__values_get(v, all[i].name.data).data == all[i].value.data);
		bytes += all[i].name.len + all[i].value.len;
	}
	crew__must(bytes == v->bytes && bytes <= CREW__VALUES_BYTES);
	crew__must(count <= CREW__VALUES_MOST && !v->changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct crew__values values;
	char *copy = copy_of(data, size);
	crew_bytes stored = { copy, size };
	crew__values_init(&values);
	int error = crew__values_decode(&values, SCOPE, stored);
	crew__must(error == 0 || error == -EPROTO || error == -EPERM);
	if (error)
		crew__must(values.count == 0 && values.bytes == 0);
	else
		check_values(&values, stored);
	crew__values_fini(&values);
	free(copy);
	(void)crew__session_id_valid((crew_bytes){ (const char *)data, size });
	return 0;
}
