/* fuzz_forwarded.c - fields of proxies. Lines of the input are fields: `F` and a Forwarded, `X` and
 * an X-Forwarded-For, anything else another field. Whatever stands left of what our own proxy
 * writes, the client is whom that names, or unknown. */
#include "fuzz.h"

#include "web/forwarded.h"

enum {
	FIELDS_MOST = 32
};

static struct crew__cidrs trusted;

static struct crew__client ask(const crew_header *fields, size_t count)
{
	struct crew__client client;
	memset(&client, 0xff, sizeof(client));
	crew__forwarded_client(fields, count, &trusted, &client);
	crew__must(client.kind <= CREW__CLIENT_UNKNOWN);
	if (client.kind == CREW__CLIENT_NAMED) {
		crew__must(client.name[0] == '_' && strlen(client.name) >= 2);
		crew__must(strlen(client.name) <= CREW__CLIENT_NAME_MAX);
	}
	return client;
}

static size_t read_fields(crew_bytes text, crew_header *fields, char **copies)
{
	size_t count = 0;
	while (text.len > 0 && count < FIELDS_MOST - 1) {
		const char *end = memchr(text.data, '\n', text.len);
		size_t len = end ? (size_t)(end - text.data) : text.len;
		crew_bytes name = text.data[0] == 'F'   ? CREW_BYTES("forwarded")
				  : text.data[0] == 'X' ? CREW_BYTES("X-FORWARDED-FOR")
							: CREW_BYTES("Via");
		size_t value = len > 0 ? len - 1 : 0;
		copies[count] = copy_of(text.data + (len > 0), value);
		fields[count] = (crew_header){ name, { copies[count], value } };
		count++;
		text.data += len + (end != NULL);
		text.len -= len + (end != NULL);
	}
	return count;
}

/* Our proxy adds who came to it, behind all that came with it; in one field or in a new one. */
static void check_told(crew_header *fields, size_t count)
{
	bool old = false;
	for (size_t i = 0; i < count; i++)
		old = old || fields[i].name.data[0] == 'X';
	fields[count] = (crew_header){ CREW_BYTES("Forwarded"), CREW_BYTES("for=192.0.2.77") };
	struct crew__client client = ask(fields, count + 1);
	if (client.kind == CREW__CLIENT_ADDRESS)
		crew__must(client.address.ip[15] == 77 && client.address.ip[12] == 192);
	else
		crew__must(client.kind == CREW__CLIENT_UNKNOWN && old);
}

static void check_added(const crew_header *fields, size_t count)
{
	static const char added[] = ", 192.0.2.77";
	for (size_t i = 0; i < count; i++) {
		crew_bytes value = fields[i].value;
		if (fields[i].name.data[0] != 'X')
			continue;
		char *longer = malloc(value.len + sizeof(added));
		crew__must(longer);
		if (value.len > 0)
			memcpy(longer, value.data, value.len);
		memcpy(longer + value.len, added, sizeof(added) - 1);
		const crew_header one = { fields[i].name,
			{ longer, value.len + sizeof(added) - 1 } };
		struct crew__client client = ask(&one, 1);
		crew__must(client.kind == CREW__CLIENT_ADDRESS && client.address.ip[15] == 77);
		free(longer);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	crew_header fields[FIELDS_MOST];
	char *copies[FIELDS_MOST];
	crew__must(crew__cidrs_parse("10.0.0.0/8 ::1 unix", &trusted, NULL) == 0);
	size_t count = read_fields((crew_bytes){ (const char *)data, size }, fields, copies);
	ask(fields, count);
	check_added(fields, count);
	check_told(fields, count);
	for (size_t i = 0; i < count; i++)
		free(copies[i]);
	crew__cidrs_free(&trusted);
	return 0;
}
