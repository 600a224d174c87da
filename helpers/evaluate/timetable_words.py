"""The words of the timetable's parser, in English and as far as they came to mind in five other languages.

A table: a sign -> the words that mean it. "_" is a space, "*" any ending. Signs of a table are looked for in its order,
and the tables in the order of ``TABLES``; within a sign the longest words come first.
"""

AIRLINES = {
    "BLUE_HERON": "blue_heron* heron",
    "KAPOK_WINGS": "kapok_wings kapok",
    "LYCHEE_AIR": "lychee_air* lychee",
    "NINE_CLOUDS": "nine_clouds 9_clouds clouds",
    "PAPER_CRANE": "paper_crane* crane",
    "RICE_BIRD": "rice_b*",
}
CITIES = {
    "BANGKOK": "bangkok бангкок* 曼谷 bkk thailand thaïlande tailandia таиланд* 泰国",
    "BEIJING": "beijing peking pékin pequin пекин* 北京 pek",
    "CAIRO": "cairo kairo caire каир* 开罗 egypt egipto égypte ägypten египет египта египте 埃及",
    "CHENGDU": "chengdu chengdou чэнду ченду 成都 ctu",
    "DUBAI": "dubai dubái dubay дубай дубая дубае дубаи 迪拜 dxb emirates emiratos émirats emirate emiraten "
    "эмират* uae 阿联酋",
    "LONDON": "london lon ldn londres лондон* 伦敦 england uk britain inglaterra angleterre grossbritannien "
    "англи* 英国",
    "MOSCOW": "moscow moskau moscou moscú москв* 莫斯科 russia rusia russie russland росси* 俄罗斯",
    "PARIS": "paris pairs parigi париж* 巴黎 france francia frankreich франци* 法国",
    "SANYA": "sanya sania santa санья санью саня саню санье 三亚 hainan hainán 海南",
    "SEOUL": "seoul soul seúl séoul сеул* 首尔 korea corea corée südkorea коре* 韩国",
    "SHANGHAI": "shanghai schanghai шанха* 上海 pvg",
    "SINGAPORE": "singapore singapur singapour singapuhr сингапур* 新加坡 sgp",
    "SYDNEY": "sydney sidney сидне* 悉尼 syd australia australie australien австрали* 澳大利亚 澳洲",
    "TOKYO": "tokyo tokio tokjo токио 东京 japan japón japon япони* 日本",
}
SPANS = {
    "FRI": "day_after_tomorrow übermorgen pasado_mañana après-demain послезавтра 后天",
    "WEEKDAY": "monday_to_friday mon-fri mon_to_fri monday_through_friday lundi_au_vendredi lunes_a_viernes "
    "montag_bis_freitag понедельника_по_пятницу 周一到周五 周一至周五 weekday* wkday* workday* working_day* "
    "werktag* wochentag* unter_der_woche entre_semana en_semaine jours_ouvrables días_laborables "
    "будн* 工作日 平日",
    "WEEKEND": "saturday_and_sunday saturday_or_sunday sat_or_sun sat_and_sun sat/sun samedi_ou_dimanche "
    "sábado_o_domingo samstag_oder_sonntag weekend* week-end wk-end wkend* wknd wochenende "
    "fin_de_semana finde выходн* 周末",
}
DAYS = {
    "FRI": "friday* fri viernes vendredi* freitag* пятниц* пт 星期五 周五 礼拜五",
    "MON": "monday* mon lunes lun lundi* montag* понедельник* пн 星期一 周一 礼拜一",
    "TUE": "tuesday* tues tue martes mardi* dienstag* вторник* вт 星期二 周二 礼拜二",
    "SAT": "saturday* sat sábado* sáb samedi* samstag* sonnabend* суббот* сб 星期六 周六 礼拜六",
    "SUN": "sunday* sun domingo* dom dimanche* sonntag* воскресень* вс 星期日 星期天 周日 周天 礼拜天",
    "THU": "thursday* thurs thur thu jueves jue jeudi* donnerstag* четверг* чт 星期四 周四 礼拜四 tomorrow* tmrw tmr "
    "tmw 2morrow demain morgen mañana завтра 明天",
    "WED": "wednesday* weds wed miércoles mié mercredi* mittwoch* среду среда среды ср 星期三 周三 礼拜三 today* "
    "aujourd'hui heute hoy сегодня 今天 今日",
}
WORDS = {
    "TODAY EVENING": "tonight tonite 2nite this_evening esta_noche ce_soir heute_abend 今晚",
    "TODAY MORNING": "this_morning ce_matin esta_mañana heute_früh 今早",
    "TODAY AFTERNOON": "this_afternoon esta_tarde cet_après-midi",
    "THU EVENING": "明晚",
    "THU MORNING": "morgen_früh",
    "FIRST": "first_thing first earliest soonest how_early erste ersten erster früheste* "
    "primer primero* primera* premier premiers première* premié первы* первую самый_ранний 第一班 最早 头班",
    "LATEST ARRIVE": "之前到 前到",
    "LATEST": "at_the_latest or_earlier or_before au_plus_tard spätestens a_más_tardar 之前 以前 前",
    "LAST": "más_tarde last latest final lats последний первый letzte* späteste* último* última* dernier* "
    "dernière* последн* 最后 末班 最晚",
    "NIGHT": "late_in_the_evening late_evening late_at_night late_night late_tonight nachts nuit por_la_noche "
    "noche поздно_вечером поздно_ночью ночь* spät_am_abend am_späten_abend spätabend* "
    "tarde_por_la_noche 深夜 夜里 night nights nite spätabends tard_le_soir late really_late",
    "MORNING": "mornings morning a.m a.m. matin matinée por_la_mañana de_la_mañana am_morgen vormittag* morgens "
    "früh утр* 上午 早上 早晨",
    "AFTERNOON": "after_lunch после_обеда afternoons afternoon aft arvo pm p.m après-midi nachmittag* por_la_tarde "
    "de_la_tarde tarde днем 下午 下五",
    "EVENING": "evenings evening eve soirée soir abends abend вечер* 晚上 傍晚 晚",
    "EARLY": "early frühmorgens früh_am temprano tôt рано 清晨",
    "DIRECT": "direct directly directa directo directos directas direkt* direktflug* direktflüge nonstop* "
    "non_stop* non-stop no_stop* without_stop* without_a_stop without_chang* without_a_change "
    "without_any_* w/out_a_stop w/o_stop* no_changing no_change* no_more_change* no_more_stop* "
    "not_stop doesn't_stop doesnt_stop those_without one_hop in_one_go straight sans_escale* "
    "sans_arrêt sans_correspondance* sin_escala* sin_parada* sin_transbordo* ohne_umsteigen "
    "ohne_zwischenstopp* ohne_stopp umsteigen_kann_ich прям* без_пересад* без_останов* 直飞 直达 不经停 不转机 "
    "不用转机 不中转",
    "VIA": "via vía by_way_of through stopover* stops stop* layover break_in change_in changing_in call_at "
    "zwischenstopp* zwischenlandung über escala escale pasando_por passant_par через пересадк* "
    "остановк* 经停 经由 经 转机 中转 in_between",
    "TERMINAL": "terminal* терминал* 号航站楼 航站楼",
    "CHEAPEST": "cheapest least_expensive lowest costs_the_least at_the_least as_cheap_as moins_cher* más_barato* "
    "más_barata* mas_varato günstigste* billigste* дешевы* самый_дешев* 最便宜",
    "FASTEST": "fastest quickest shortest least_time fewest_hours short_one as_fast_as plus_rapide* más_rápido* "
    "más_corto* schnellste* kürzeste* быстры* 最快 最短",
    "CHEAP": "cheap* подешевле by_price by_fare by_cost of_price barato* günstig* billig* 便宜 по_цене "
    "nach_preis por_precio par_prix 按价格 价格",
    "FAST": "by_duration time_in_the_air by_how_long* by_flight_time nach_dauer por_duración par_durée",
    "ALL": "sort* order* arrange* starting_with triées sortier* ordenad* 排序 排列",
    "UNDER": "no_more no_higher not_above not_over less_than under below for_less up_to at_most no_more_than "
    "max maximum unter bis_zu höchstens menos_de moins_de au_plus дешевле не_дороже 不超过 以内 以下 <",
    "ONWARDS": "or_later or_after onwards and_later 以后 之后 后",
    "AFTER": "not_before not_earlier_than no_earlier_than nicht_vor не_раньше after till from_about until "
    "at_the_airport_by free_from a_partir_de después_de à_partir_de après nach ab после с >",
    "BEFORE": "before b4 no_later_than not_later_than avant vor antes_de до",
    "BY": "by bis к",
    "AROUND": "around round about circa gegen hacia_las sobre_las vers около ~",
}
CUES = {  # no spelling is corrected towards these
    "ARRIVE": "land lands landing landed be_at arr arrive* arriving reach reaches be_in be_there have_us_in "
    "has_us_in gets_me gets_us get_me get_us there_by makes_it must_not_miss in_time estar_en llegar "
    "aterriz* arriver atterrir sois_à être_à ankommen ankommt landen landet llega прилет* успе* "
    "быть_в 到达 抵达",
    "NOT": "leave_out leaving_out not isn't without w/o no except excluding avoid avoids avoiding other_than "
    "anything_but anyone_but everyone_but anybody_but everybody_but all_but airline_but never sauf "
    "excepté sans pas ohne nicht ausser menos excepto salvo sin без que_no_sea кроме не 除了 不要 不坐 cannot "
    "can't don't",
    "LEAVE": "leave leave_at leaves leaving dep depart* take_off takes_off be_off вылет* улет* abflieg* partir "
    "sal*",
    "EVENT": "start starts begin begins opens closes shuts meeting wedding interview show ceremony concert "
    "match appointment conference expects waits waiting wartet espera attend ждет ждут свадьб* 会议 婚礼 "
    "reunión boda réunion mariage hochzeit termin",
    "ONLY": "only just nur solo seulement только",
    "ELSE": "else other another rather_not never_again can't_stand done_with fed_up otra otro autre andere* "
    "другой другие 别的",
}
NUMBERS = {
    "12:00": "noon midday lunchtime mediodía midi mittag* полдень полудня обеду обеда 中午十二点 中午",
    "2": "two dos deux zwei два две двух 二 两",
    "3": "three tree tres trois drei три трех 三",
    "4": "four cuatro quatre vier четыре четырех 四",
    "5": "five cinco cinq fünf пять пяти 五",
    "6": "six seis sechs шесть шести 六",
    "7": "seven siete sept sieben семь семи 七",
    "8": "eight ocho huit acht восемь восьми 八",
    "9": "nine nueve neuf neun девять девяти 九",
    "11": "eleven onze elf одиннадцат* 十一",
    "12": "twelve doce douze zwölf двенадцат* 十二",
    "10": "ten diez dix zehn десять десяти 十",
    "1": "one uno eins часу 一",
    "000": "thousand mil mille tausend тысяч* 千",
    "00": "hundred cien cent hundert 百",
}
ORDINARY = (  # words that are right, although they look like one of the tables'
    "against being care chance cost cream cross dear direction directions does donc enter even finally find "
    "fine green hour house hufte letter letters level lines lost make means money more noch other others over "
    "pair para parking parks pars part pier quarter rate real ride same says seen should start take their "
    "there thing though trade turns wants whats zwischen "
)
TABLES = (AIRLINES, CITIES, SPANS, WORDS, CUES, DAYS, NUMBERS)
