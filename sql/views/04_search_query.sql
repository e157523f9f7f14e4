-- What a search asks of recommended_product.words, cut as eclare/arrays/tokens.py cuts titles (a test compares them). It is
-- written in ranges of characters: what else a database takes for a letter depends on its locale.
create or replace function search_query(query text, beginnings boolean default false)
returns tsquery
language plpgsql stable
set search_path from current
as $$
declare
    accents constant text := '[\u0300-\u036f\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff\u0640\u064b-\u065f\u0670\U000e0100-\U000e01ef]';
    digits constant text := '٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९০১২৩৪৫৬৭৮৯๐๑๒๓๔๕๖๗๘๙໐໑໒໓໔໕໖໗໘໙០១២៣៤៥៦៧៨៩၀၁၂၃၄၅၆၇၈၉';
    marks constant text :=
        '\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059\u105e-\u1060'
        '\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d\u17b4-\u17d3\u17dd\ua9e5'
        '\uaa7b-\uaa7d\u3099\u309a';
    without_blanks constant text :=
        '\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff'
        '\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff';
    -- Blanks, punctuation and symbols.
    between constant text :=
        '\u0001-\u002f\u003a-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u037e\u0387'
        '\u055a-\u055f\u0589\u058a\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u0600-\u060f\u061b-\u061f\u066a-\u066d\u06d4'
        '\u0964\u0965\u0970\u0e3f\u0e4f\u0e5a\u0e5b\u104a-\u104f\u17d4-\u17d6\u17d8-\u17db\u2000-\u206f\u20a0-\u20cf'
        '\u2190-\u2bff\u3001-\u3004\u3008-\u3020\u3030\u303d-\u303f\u30a0\u30fb\ufe10-\ufe6f\U0001f000-\U0001faff';
    folded text;
    part text[];
    word text;
    letters text[];
    terms text[];
    found text := '';
    joined text := '';
begin
    folded := normalize(lower(normalize(query, nfkc)), nfkd);
    folded := lower(normalize(regexp_replace(folded, accents, '', 'g'), nfkc));
    folded := replace(replace(replace(folded, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe');
    folded := translate(folded, 'ıøłđς' || digits, 'ioldσ' || repeat('0123456789', length(digits) / 10));
    -- As websearch_to_tsquery reads them: "a phrase", -without, this or that.
    for part in select regexp_matches(folded, '(-?)(?:"([^"]*)"|([^"[:space:]]+))', 'g') loop
        if part[3] = 'or' then
            joined := case when found = '' then '' else ' | ' end;
            continue;
        end if;
        terms := '{}';
        for word in
            select (regexp_matches(
                regexp_replace(coalesce(part[2], part[3]), format('[%s]+', between), ' ', 'g'),
                format('[0-9]+|[%1$s]+|[^0-9 %1$s]+', without_blanks), 'g'
            ))[1]
        loop
            if word ~ format('^[%s]', without_blanks) then
                select array_agg(letter[1] order by place) into letters
                from regexp_matches(word, format('.[%s]*', marks), 'g') with ordinality as cut (letter, place);
                if array_length(letters, 1) = 1 then
                    terms := terms || (quote_literal(letters[1]) || ':*');
                else
                    terms := terms || array(
                        select quote_literal(letters[place] || letters[place + 1])
                        from generate_series(1, array_length(letters, 1) - 1) as place
                    );
                end if;
            else
                terms := terms || (quote_literal(left(word, 100)) || case when beginnings then ':*' else '' end);
            end if;
        end loop;
        if terms <> '{}' then
            found := found || joined || case when part[1] = '-' then '!' else '' end
                || '(' || array_to_string(terms, ' <-> ') || ')';
            joined := ' & ';
        end if;
    end loop;
    return nullif(found, '')::tsquery;
end;
$$;

comment on function search_query(text, boolean) is 'What a text of a search box asks of recommended_product.words; with beginnings, words that begin so: select title from recommended_product where words @@ search_query(''red mug''). Null where it holds no word.';
