/* fuzz_address.c - where a service listens: what is taken fits its structs, is shown without a byte
 * that a screen or a line of settings would mind, and means the same place when it is read again.
 */
#include "fuzz.h"

#include "net/address.h"

#include <stdio.h>
#include <sys/un.h>

static char error[256];

/* Refused: with a reason, in one line. */
static void check_error(void)
{
	crew__must(memchr(error, '\0', sizeof(error)) && error[0] != '\0');
	crew__must(!strchr(error, '\n'));
}

static void check_options(const struct crew__address_options *options)
{
	static const struct {
		int32_t least, most;
		bool number;
	} table[] = {
#define ROW(name, kind, least, most, where) { least, most, (least) != (most) },
		CREW__ADDRESS_OPTION_TABLE(ROW)
#undef ROW
	};
	for (unsigned i = 0; i < CREW__OPTIONS; i++)
		if (crew__option_given(options, i) && table[i].number)
			crew__must(options->value[i] >= table[i].least &&
				   options->value[i] <= table[i].most);
	crew__must(memchr(options->interface, '\0', sizeof(options->interface)));
	crew__must(memchr(options->owner, '\0', sizeof(options->owner)));
	crew__must(memchr(options->group, '\0', sizeof(options->group)));
}

static void check_one(const struct crew__address *address)
{
	struct crew__address again;
	crew__must(address->socket_size <= sizeof(address->socket));
	crew__must(strlen(address->text) + 1 < sizeof(address->text));
	crew__must(!strpbrk(address->text, " \t\n?"));
	check_options(&address->options);
	crew__must(crew__address_parse(address->text, "/", &again, error, sizeof(error)) == 0);
	crew__must(strcmp(again.text, address->text) == 0);
	crew__must(strcmp(again.scheme, address->scheme) == 0);
	crew__must(again.transport == address->transport && again.tls == address->tls);
	crew__must(again.socket_size == address->socket_size &&
		   memcmp(&again.socket, &address->socket, address->socket_size) == 0);
	crew__must(again.options.given == 0);
}

/* What the kernel might tell of a peer that may choose its own name. */
static void check_names(const uint8_t *data, size_t size)
{
	struct sockaddr_un socket = { .sun_family = AF_UNIX };
	struct sockaddr_storage address = { 0 };
	struct crew__record_address record;
	char text[400], shown[80];
	size_t length = crew__min(size, sizeof(socket.sun_path));
	memcpy(socket.sun_path, data, length);
	memcpy(&address, &socket, sizeof(socket));
	socklen_t told = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	crew__address_record_of(&address, told, &record);
	crew__must(crew__address_text(&record, shown, sizeof(shown)) < sizeof(shown));
	crew__must(crew__address_unix_text(&address, told, text, sizeof(text)) < sizeof(text));
	for (const char *c = text; *c; c++)
		crew__must(*c > ' ' && *c < 0x7f);
	for (const char *c = shown; *c; c++)
		crew__must(*c > ' ' && *c < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct crew__address addresses[CREW__ADDRESSES_MAX];
	char *text = malloc(size + 1), shown[128];
	size_t count = 0;
	crew__must(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (crew__addresses_parse(text, "/run/shop", addresses, &count, error, sizeof(error)) < 0)
		check_error();
	else
		crew__must(count >= 1 && count <= CREW__ADDRESSES_MAX);
	for (size_t i = 0; i < count; i++) {
		check_one(&addresses[i]);
		for (size_t k = 0; k < i; k++)
			crew__must(!crew__address_same(&addresses[i], &addresses[k]));
	}
	crew__must(crew__addresses_text(addresses, sizeof(addresses[0]), count, shown,
			   sizeof(shown)) < sizeof(shown));
	check_names(data, size);
	free(text);
	return 0;
}
