/* tls_context_tickets.c - keys of session tickets, by epochs.
 *
 * A ticket holds a session, sealed by keys that only we have; who learns them reads the traffic of
 * all sessions in tickets. So keys live for an epoch and the one after it. Each epoch's secret is a
 * one-way function of the one before, the old is wiped, and what a worker knows opens nothing
 * older. All processes count the epochs by the same clock, which does not jump, and need not talk.
 *
 * Invariants: `secret` is that of `epoch`, `now` holds its keys, and `before` those of the epoch
 * before, if that one was known. */
#include "net/tls_context.h"

#include "net/tls_context_parts.h"

#include "base/check.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

enum {
	EPOCH_S = 3 * 3600,
	EPOCHS_BEFORE = 16,
	IV_SIZE = 16,
	/* Epochs of a machine that has run for decades: what is further off our master did not say.
	 */
	STEPS_MOST = 1 << 20
};

struct keys {
	bool valid;
	unsigned char name[16], cipher[32], mac[32];
};

struct crew__tls_tickets {
	uint64_t epoch;
	unsigned char secret[CREW__TLS_SECRET];
	struct keys now, before;
	EVP_CIPHER *cipher; /* looked up once, not for each ticket */
};

uint64_t crew__tls_epoch(void)
{
	struct timespec t;
	/* It counts sleep as well, and no one can set it; right after the boot too there are some
	 * before. */
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec / EPOCH_S + EPOCHS_BEFORE;
}

static void derive(const unsigned char secret[CREW__TLS_SECRET], const char *label,
	unsigned char to[CREW__TLS_SECRET])
{
	unsigned size = CREW__TLS_SECRET;
	if (!HMAC(EVP_sha256(), secret, CREW__TLS_SECRET, (const unsigned char *)label,
		    strlen(label), to, &size))
		/* Only memory can be the reason. Nobody knows these keys, and no ticket fits them.
		 */
		crew__must(RAND_bytes(to, CREW__TLS_SECRET) == 1);
}

void crew__tls_secret_step(unsigned char secret[CREW__TLS_SECRET])
{
	unsigned char next[CREW__TLS_SECRET];
	derive(secret, "crew ticket: the next epoch", next);
	memcpy(secret, next, sizeof(next));
	OPENSSL_cleanse(next, sizeof(next));
}

static void derive_keys(const unsigned char secret[CREW__TLS_SECRET], struct keys *keys)
{
	unsigned char name[CREW__TLS_SECRET];
	derive(secret, "crew ticket: name", name);
	memcpy(keys->name, name, sizeof(keys->name));
	derive(secret, "crew ticket: cipher", keys->cipher);
	derive(secret, "crew ticket: mac", keys->mac);
	keys->valid = true;
}

static void advance(struct crew__tls_tickets *tickets)
{
	uint64_t present = crew__tls_epoch();
	if (crew__likely(tickets->epoch >= present))
		return;
	for (; tickets->epoch < present; tickets->epoch++) {
		if (tickets->epoch + 1 == present)
			derive_keys(tickets->secret, &tickets->before);
		crew__tls_secret_step(tickets->secret);
	}
	derive_keys(tickets->secret, &tickets->now);
}

int crew__tls_tickets_new(
	const unsigned char *secret, uint64_t epoch, struct crew__tls_tickets **ret_tickets)
{
	uint64_t present = crew__tls_epoch();
	if (epoch > present || present - epoch > STEPS_MOST)
		return -EINVAL;
	struct crew__tls_tickets *tickets = calloc(1, sizeof(*tickets));
	if (!tickets)
		return -ENOMEM;
	tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (!tickets->cipher) {
		free(tickets);
		return -ENOMEM;
	}
	memcpy(tickets->secret, secret, CREW__TLS_SECRET);
	tickets->epoch = epoch;
	derive_keys(tickets->secret, &tickets->now);
	advance(tickets);
	*ret_tickets = tickets;
	return 0;
}

void crew__tls_tickets_free(struct crew__tls_tickets *tickets)
{
	if (!tickets)
		return;
	EVP_CIPHER_free(tickets->cipher);
	OPENSSL_cleanse(tickets, sizeof(*tickets));
	free(tickets);
}

static bool use_mac(EVP_MAC_CTX *mac, struct keys *keys)
{
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, keys->mac, sizeof(keys->mac)),
		OSSL_PARAM_construct_utf8_string(
			OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static struct keys *find(struct crew__tls_tickets *tickets, const unsigned char name[16])
{
	if (CRYPTO_memcmp(name, tickets->now.name, 16) == 0)
		return &tickets->now;
	if (tickets->before.valid && CRYPTO_memcmp(name, tickets->before.name, 16) == 0)
		return &tickets->before;
	return NULL;
}

int crew__tls_ticket_key(struct crew__tls_tickets *tickets, unsigned char name[16],
	unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt)
{
	advance(tickets);
	struct keys *keys = encrypt ? &tickets->now : find(tickets, name);
	if (!keys)
		return CREW__TLS_TICKET_UNKNOWN;
	if (encrypt) {
		memcpy(name, keys->name, 16);
		if (RAND_bytes(iv, IV_SIZE) != 1)
			return CREW__TLS_TICKET_FAILED;
	}
	if (EVP_CipherInit_ex2(cipher, tickets->cipher, keys->cipher, iv, encrypt, NULL) != 1 ||
		!use_mac(mac, keys))
		return CREW__TLS_TICKET_FAILED;
	return keys == &tickets->now ? CREW__TLS_TICKET_GOOD : CREW__TLS_TICKET_RENEW;
}
