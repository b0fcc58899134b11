/* test_tls_pair.c - what is wrong with certificates, keys and OCSP answers is said when they are
 * set; and whom outgoing connections believe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/tls_context.h"
#include "tls_ways.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct tls_made root, middle, leaf;

static int begin(void **state)
{
	(void)state;
	root = tls_authority("the root");
	middle = tls_make(
		&(struct tls_wish){ .subject = "the middle", .issuer = &root, .authority = true });
	leaf = tls_server(&middle, "DNS:a.example");
	return 0;
}

static int end(void **state)
{
	(void)state;
	tls_ways_end();
	return 0;
}

/* What is said of a certificate, key and OCSP answer; "" when they are good. */
static char error[512];

static const char *verdict(crew_bytes cert, crew_bytes key, crew_bytes ocsp)
{
	const struct crew__tls_pair pair = { .name = "server.pem",
		.key_name = "server.key",
		.ocsp_name = "server.ocsp",
		.cert = cert,
		.key = key,
		.ocsp = ocsp };
	struct crew__tls_context *context = NULL;
	strcpy(error, "");
	int status = crew__tls_server_new(
		&(struct crew__tls_server_plan){ .pairs = &pair, .count = 1 }, &context, error,
		sizeof(error));
	assert_int_equal(status, error[0] ? -EINVAL : 0);
	assert_int_equal(ERR_peek_error(), 0);
	crew__tls_context_unref(context);
	return error;
}

static const crew_bytes none = { NULL, 0 };

static crew_bytes text(const char *from)
{
	return (crew_bytes){ from, strlen(from) };
}

/* A sentence that has all these words. */
static void assert_says(const char *sentence, const char *file, const char *cause)
{
	if (!strstr(sentence, file) || !strstr(sentence, cause) || !strpbrk(sentence, ";"))
		fail_msg("\"%s\" says nothing of %s, %s", sentence, file, cause);
}

static void a_sound_chain_is_taken(void **state)
{
	(void)state;
	crew_bytes chain = tls_join(leaf.cert_pem, middle.cert_pem);
	assert_string_equal(verdict(leaf.cert_pem, leaf.key_pem, none), "");
	assert_string_equal(verdict(chain, leaf.key_pem, none), "");
	assert_string_equal(verdict(tls_join(chain, root.cert_pem), leaf.key_pem, none), "");
	/* Key and certificates in one file. */
	crew_bytes both = tls_join(leaf.key_pem, chain);
	assert_string_equal(verdict(both, both, none), "");
	crew_bytes explained = tls_join(text("what this is:\n"), chain);
	assert_string_equal(verdict(explained, leaf.key_pem, none), "");
}

static void certificates_that_are_none_are_refused(void **state)
{
	(void)state;
	assert_says(verdict(none, leaf.key_pem, none), "server.pem", "empty");
	assert_says(verdict(text("hello"), leaf.key_pem, none), "server.pem", "no certificate");
	assert_says(verdict(leaf.key_pem, leaf.key_pem, none), "server.pem", "no certificate");
	/* Cut at every place, one of its characters turned. */
	for (size_t length = 30; length < leaf.cert_pem.len - 26; length += 37) {
		crew_bytes cut = { leaf.cert_pem.data, length };
		const char *said = verdict(cut, leaf.key_pem, none);
		assert_says(said, "server.pem", length < 28 ? "no certificate" : "damaged");
	}
	crew_bytes second_cut = tls_join(leaf.cert_pem, middle.cert_pem);
	second_cut.len -= 60;
	assert_says(
		verdict(second_cut, leaf.key_pem, none), "certificate 2 of server.pem", "damaged");
	char *turned = strndup(leaf.cert_pem.data, leaf.cert_pem.len);
	turned[60] = '!';
	assert_says(verdict(text(turned), leaf.key_pem, none), "server.pem", "damaged");
	free(turned);
}

static void chains_out_of_order_are_refused(void **state)
{
	(void)state;
	crew_bytes upside = tls_join(middle.cert_pem, leaf.cert_pem);
	assert_says(verdict(upside, middle.key_pem, none), "server.pem", "certificate 2");
	crew_bytes gap = tls_join(leaf.cert_pem, root.cert_pem);
	assert_says(verdict(gap, leaf.key_pem, none), "server.pem", "the root");
	crew_bytes endless = leaf.cert_pem;
	for (int i = 0; i < 20; i++)
		endless = tls_join(endless, middle.cert_pem);
	assert_says(verdict(endless, leaf.key_pem, none), "server.pem", "more than");
}

static void keys_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	assert_says(verdict(leaf.cert_pem, none, none), "server.key", "empty");
	assert_says(verdict(leaf.cert_pem, text("hello"), none), "server.key", "no private key");
	assert_says(verdict(leaf.cert_pem, leaf.cert_pem, none), "server.key", "no private key");
	assert_says(verdict(leaf.cert_pem, middle.key_pem, none), "server.key", "not that of");
	assert_says(verdict(leaf.cert_pem, tls_locked(&leaf), none), "server.key", "password");
	crew_bytes cut = { leaf.key_pem.data, leaf.key_pem.len - 40 };
	assert_says(verdict(leaf.cert_pem, cut, none), "server.key", "damaged");
}

static void weak_and_odd_keys_are_refused(void **state)
{
	(void)state;
	struct tls_made weak = tls_make(
		&(struct tls_wish){ .subject = "weak", .issuer = &root, .key = "RSA:1024" });
	struct tls_made strong = tls_make(
		&(struct tls_wish){ .subject = "strong", .issuer = &root, .key = "RSA:2048" });
	struct tls_made small = tls_make(
		&(struct tls_wish){ .subject = "small", .issuer = &root, .key = "P-192" });
	struct tls_made edwards = tls_make(
		&(struct tls_wish){ .subject = "edwards", .issuer = &root, .key = "ED25519" });
	assert_says(verdict(weak.cert_pem, weak.key_pem, none), "server.pem", "1024 bits");
	assert_says(verdict(small.cert_pem, small.key_pem, none), "server.pem", "192 bits");
	assert_string_equal(verdict(strong.cert_pem, strong.key_pem, none), "");
	assert_string_equal(verdict(edwards.cert_pem, edwards.key_pem, none), "");
}

static void what_is_not_valid_yet_is_refused(void **state)
{
	(void)state;
	struct tls_made early = tls_make(&(struct tls_wish){
		.subject = "early", .issuer = &root, .from_s = 3600, .until_s = 7200 });
	assert_says(verdict(early.cert_pem, early.key_pem, none), "server.pem", "not valid yet");
}

static void several_certificates_need_names(void **state)
{
	(void)state;
	struct tls_made nameless = tls_make(
		&(struct tls_wish){ .subject = "nameless", .issuer = &root });
	const struct crew__tls_pair pairs[] = {
		{ .name = "first.pem", .cert = nameless.cert_pem, .key = nameless.key_pem },
		{ .name = "second.pem", .cert = nameless.cert_pem, .key = nameless.key_pem },
	};
	struct crew__tls_context *context;
	struct crew__tls_server_plan plan = { .pairs = pairs, .count = 1 };
	assert_int_equal(crew__tls_server_new(&plan, &context, error, sizeof(error)), 0);
	crew__tls_context_unref(context);
	plan.count = 2;
	assert_int_equal(crew__tls_server_new(&plan, &context, error, sizeof(error)), -EINVAL);
	assert_says(error, "second.pem", "names no host");
	plan.count = 0;
	assert_int_equal(crew__tls_server_new(&plan, &context, error, sizeof(error)), -EINVAL);
	/* A small room cuts the sentence, and none at all keeps it. */
	assert_int_equal(crew__tls_server_new(&plan, &context, error, 10), -EINVAL);
	assert_int_equal(strlen(error), 9);
	assert_int_equal(crew__tls_server_new(&plan, &context, NULL, 0), -EINVAL);
}

static void answers_about_certificates_are_looked_at(void **state)
{
	(void)state;
	struct tls_made other = tls_server(&middle, "DNS:b.example");
	crew_bytes chain = tls_join(leaf.cert_pem, middle.cert_pem);
	const int good_one = V_OCSP_CERTSTATUS_GOOD;
	const struct {
		crew_bytes answer;
		const char *cause; /* NULL: it is good */
		bool by_key;       /* found only where the issuer's key is at hand */
	} cases[] = {
		{ tls_ocsp(&middle, &leaf, good_one, -60, 3600), NULL, false },
		{ tls_ocsp(&middle, &leaf, good_one, -60, 0), NULL, false },
		{ tls_ocsp(&middle, &leaf, good_one, -7200, -3600), "over", false },
		{ tls_ocsp(&middle, &leaf, good_one, 3600, 7200), "not valid yet", false },
		{ tls_ocsp(&middle, &other, good_one, -60, 3600), "another certificate", false },
		{ tls_ocsp(&root, &leaf, good_one, -60, 3600), "another certificate", true },
		{ tls_ocsp(&middle, &leaf, V_OCSP_CERTSTATUS_REVOKED, -60, 3600), "revoked",
			false },
		{ tls_ocsp(&middle, &leaf, V_OCSP_CERTSTATUS_UNKNOWN, -60, 3600), "not known",
			false },
		{ text("hello"), "no OCSP answer", false },
		{ { "0\003\n\001\006", 5 }, "unauthorized", false },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		const crew_bytes certs[] = { leaf.cert_pem, chain };
		for (size_t n = 0; n < 2; n++) {
			const char *said = verdict(certs[n], leaf.key_pem, cases[i].answer);
			if (cases[i].cause && !(cases[i].by_key && n == 0))
				assert_says(said, "server.ocsp", cases[i].cause);
			else
				assert_string_equal(said, "");
		}
	}
	crew_bytes cut = { cases[0].answer.data, cases[0].answer.len - 1 };
	assert_says(verdict(chain, leaf.key_pem, cut), "server.ocsp", "no OCSP answer");
	crew_bytes more = tls_join(cases[0].answer, text("x"));
	assert_says(verdict(chain, leaf.key_pem, more), "server.ocsp", "no OCSP answer");
	char *endless = calloc(1, 100000);
	assert_says(verdict(chain, leaf.key_pem, (crew_bytes){ endless, 100000 }), "server.ocsp",
		"too long");
	free(endless);
}

/* ---- outgoing ------------------------------------------------------------------------------ */

static const char *file_with(crew_bytes bytes)
{
	static char path[64];
	strcpy(path, "/tmp/crew-test-tls-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
	close(fd);
	return path;
}

static struct crew__tls_context *server_context(const struct tls_made *made)
{
	const struct crew__tls_pair pair = {
		.name = "server.pem",
		.cert = tls_join(made->cert_pem, middle.cert_pem),
		.key = made->key_pem,
	};
	struct crew__tls_context *context;
	assert_int_equal(crew__tls_server_new(
				 &(struct crew__tls_server_plan){
					 .pairs = &pair, .count = 1, .alpn = "http/1.1" },
				 &context, error, sizeof(error)),
		0);
	return context;
}

static void the_server_must_be_who_it_is_asked_to_be(void **state)
{
	(void)state;
	struct tls_made server = tls_server(
		&middle, "DNS:a.example,DNS:*.b.example,IP:127.0.0.1,IP:::1");
	struct tls_made other_root = tls_authority("another root");
	struct crew__tls_context *context = server_context(&server);
	static const struct {
		const char *name;
		bool trusts, insecure, good;
	} cases[] = {
		{ "a.example", true, false, true },
		{ "A.Example", true, false, true },
		{ "x.b.example", true, false, true },
		{ "127.0.0.1", true, false, true },
		{ "::1", true, false, true },
		{ "b.example", true, false, false },
		{ "y.x.b.example", true, false, false },
		{ "127.0.0.2", true, false, false },
		{ "a.example.org", true, false, false },
		{ "a.example", false, false, false },
		{ "b.example", true, true, true },
		{ "a.example", false, true, true },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		char *path = strdup(
			file_with(cases[i].trusts ? root.cert_pem : other_root.cert_pem));
		struct crew__tls_context *ours;
		assert_int_equal(
			crew__tls_client_new(&(struct crew__tls_client_plan){ .ca_file = path,
						     .alpn = "http/1.1",
						     .insecure = cases[i].insecure },
				&ours, error, sizeof(error)),
			0);
		SSL *server_end = crew__tls_accept(context);
		SSL *client_end = crew__tls_connect(ours, cases[i].name);
		assert_int_equal(tls_shake(server_end, client_end, NULL, NULL), cases[i].good);
		const char *asked = SSL_get_servername(server_end, TLSEXT_NAMETYPE_host_name);
		bool address = strpbrk(cases[i].name, "abcdefxyz") == NULL;
		assert_int_equal(asked == NULL, address);
		SSL_free(server_end);
		SSL_free(client_end);
		crew__tls_context_unref(ours);
		unlink(path);
		free(path);
	}
	crew__tls_context_unref(context);
}

static void without_a_name_nothing_can_be_verified(void **state)
{
	(void)state;
	struct crew__tls_context *context = server_context(&leaf), *ours;
	struct crew__tls_client_plan plan = { .insecure = false };
	assert_int_equal(crew__tls_client_new(&plan, &ours, error, sizeof(error)), 0);
	assert_null(crew__tls_connect(ours, NULL));
	crew__tls_context_unref(ours);
	plan.insecure = true;
	assert_int_equal(crew__tls_client_new(&plan, &ours, error, sizeof(error)), 0);
	SSL *server_end = crew__tls_accept(context), *client_end = crew__tls_connect(ours, NULL);
	assert_true(tls_shake(server_end, client_end, NULL, NULL));
	assert_null(SSL_get_servername(server_end, TLSEXT_NAMETYPE_host_name));
	SSL_free(server_end);
	SSL_free(client_end);
	crew__tls_context_unref(ours);
	crew__tls_context_unref(context);
}

static void without_a_file_the_system_is_believed(void **state)
{
	(void)state;
	struct crew__tls_context *context = server_context(&leaf), *ours;
	assert_int_equal(crew__tls_client_new(&(struct crew__tls_client_plan){ .insecure = false },
				 &ours, error, sizeof(error)),
		0);
	SSL *server_end = crew__tls_accept(context);
	SSL *client_end = crew__tls_connect(ours, "a.example");
	assert_false(tls_shake(server_end, client_end, NULL, NULL));
	assert_int_not_equal(SSL_get_verify_result(client_end), X509_V_OK);
	SSL_free(server_end);
	SSL_free(client_end);
	crew__tls_context_unref(ours);
	crew__tls_context_unref(context);
}

static void files_of_clients_are_read_and_checked(void **state)
{
	(void)state;
	char *cert = strdup(file_with(leaf.cert_pem)), *key = strdup(file_with(leaf.key_pem));
	char *other = strdup(file_with(middle.key_pem)), *bad = strdup(file_with(text("?")));
	const struct {
		struct crew__tls_client_plan plan;
		const char *file, *cause; /* NULL: it is good */
	} cases[] = {
		{ { .cert_file = cert, .key_file = key }, NULL, NULL },
		{ { .cert_file = cert, .key_file = other }, other, "not that of" },
		{ { .cert_file = cert }, cert, "no key" },
		{ { .key_file = key }, key, "no certificate" },
		{ { .cert_file = bad, .key_file = key }, bad, "no certificate" },
		{ { .cert_file = "/nowhere/x.pem", .key_file = key }, "/nowhere/x.pem",
			"No such file" },
		{ { .cert_file = cert, .key_file = "/nowhere/x.key" }, "/nowhere/x.key",
			"No such file" },
		{ { .ca_file = "/nowhere/ca.pem" }, "/nowhere/ca.pem", "No such file" },
		{ { .ca_file = "/tmp" }, "/tmp", "Invalid argument" },
		{ { .ca_file = bad }, bad, "no certificate" },
		{ { .alpn = "  " }, "tls_alpn", "no list" },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		struct crew__tls_context *context = NULL;
		int status = crew__tls_client_new(&cases[i].plan, &context, error, sizeof(error));
		assert_int_equal(status, cases[i].file ? -EINVAL : 0);
		if (cases[i].file)
			assert_says(error, cases[i].file, cases[i].cause);
		crew__tls_context_unref(context);
	}
	char *paths[] = { cert, key, other, bad };
	for (size_t i = 0; i < crew__lengthof(paths); i++) {
		unlink(paths[i]);
		free(paths[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_chain_is_taken),
		cmocka_unit_test(certificates_that_are_none_are_refused),
		cmocka_unit_test(chains_out_of_order_are_refused),
		cmocka_unit_test(keys_that_do_not_fit_are_refused),
		cmocka_unit_test(weak_and_odd_keys_are_refused),
		cmocka_unit_test(what_is_not_valid_yet_is_refused),
		cmocka_unit_test(several_certificates_need_names),
		cmocka_unit_test(answers_about_certificates_are_looked_at),
		cmocka_unit_test(the_server_must_be_who_it_is_asked_to_be),
		cmocka_unit_test(without_a_name_nothing_can_be_verified),
		cmocka_unit_test(without_a_file_the_system_is_believed),
		cmocka_unit_test(files_of_clients_are_read_and_checked),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
