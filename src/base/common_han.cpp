#include <algorithm>
#include <array>
#include <string_view>

#include "base/internal/legacy_encoding.h"

namespace lora::detail {
namespace {

// The characters that make up most of everyday text in simplified and traditional Chinese and in
// Japanese, and those of picture captions (hair, eyes, clothes, colours, places). Repeats are
// harmless.
constexpr std::u32string_view kEveryday =
    U"的一是不了人在有我他这這个個们們中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而"
    U"子那得于於着著下自之年过過发發后後作里裡"
    U"用道行所然家种種事成方多经經么麼去法学學如都同现現当當没沒动動面起看定天分还還进進好小部其些"
    U"主样樣理心她本前开開但因只从從想实實日"
    U"军軍者意无無力它与與长長把机機十民第公此已工使情明性知全三又关關点點正业業外将將两兩高间間由"
    U"问問很最重并並物手应應战戰向头頭文体體"
    U"政美相见見被利什二等产產或新己制身果加西斯月话話合回特代内內信表化老给給世位次度门門任常先海"
    U"通教儿兒原东東声聲提立及比员員解水名真"
    U"论論处處走义義各入几幾口认認条條平系气氣题題活尔爾更别別打女变變四神总總何电電数數安少报報才"
    U"结結反受目太量再感建务務做接必场場件计計"
    U"管期市直德资資命山金指克许許统統区區保至队隊形社便空决決治展马馬科司五基眼书書非则則听聽白却"
    U"卻界达達光放强強即像难難且权權思王象完设設"
    U"式色路记記南品住告类類求据據程北边邊死张張该該交规規万萬取拉格望觉覺术術领領共确確传傳师師观"
    U"觀清今切院让讓识識候带帶导導争爭运運笔筆"
    U"一七八九六百千零半双雙每早晚夜晨午春夏秋冬风風雨雪云雲雾霧雷星阳陽阴陰影火土木石沙河湖江波浪"
    U"岛島谷森林树樹花草叶葉根枝竹梅兰蘭菊莲蓮樱櫻桃"
    U"红紅橙黄黃绿綠青蓝藍紫黑灰粉棕褐银銀彩暗亮淡浅淺深纯純素透";
constexpr std::u32string_view kCaptions =
    U"发髮眼睛瞳脸臉嘴鼻耳朵眉毛唇牙齿齒舌颈頸肩胸腰腹臂手指甲腿脚腳足膝背臀皮肤膚肌肉骨血泪淚汗表"
    U"情微笑哭怒害羞惊驚开闭閉张嘴站坐躺蹲跪跑跳舞"
    U"飞飛抱牵牽握举舉拿穿戴脱脫衣服裙裤褲衫袖领領带帶帽鞋袜襪靴套装裝外披斗篷围圍巾手套眼镜鏡项項"
    U"链鏈环環戒指发饰飾蝴蝶结丝絲绸綢绒絨皮革布棉"
    U"和服旗袍制校泳铠鎧甲盔剑劍刀枪槍弓箭盾杖魔法师战士骑騎公主王子女仆僕天使恶惡龙龍猫貓狗犬兔狐"
    U"狼虎熊鸟鳥鱼魚马牛羊猪豬鸡雞蛇鼠"
    U"少年女男孩子婴嬰儿老爷爺奶妈媽爸父母兄弟姐妹姊朋友情侣侶新娘人物角色头像肖像半身全特写寫近景"
    U"远遠视視角正侧側背面仰俯构構图圖画畫背景前"
    U"室内屋房间卧臥床窗帘簾门墙牆桌椅沙发灯燈地板厨廚浴厅廳教室学校街道城市桥橋楼樓塔庙廟寺神社公"
    U"园園车車站船机海滩灘边邊田野草原沙漠天空太阳月亮星空"
    U"夕傍黎清晨日落出彩虹霓光线線影阴逆背投射反射倒影高质質量杰傑作最佳品精细細致緻详詳节節写实風"
    U"格动漫卡通插油水墨素描铅鉛笔像素三维維渲染摄攝影照片"
    U"长短直卷曲马尾辫辮双丸子刘劉海呆单單侧编編束披散异異瞳闪閃闭睁睜红晕暈伤傷疤痣纹紋身翅膀角尾"
    U"巴爪羽毛光环皇冠冕面具绷繃带铃鈴铛鐺蕾絲边褶吊"
    U"吃喝茶酒咖啡果苹蘋糖糕饼餅面包麵包米饭飯汤湯菜肉蛋奶杯盘盤碗筷叉勺书本杂雜志誌报纸紙信手机電"
    U"腦电脑乐樂器钢鋼琴吉他提琴鼓笛歌唱听音游戏戲玩具"
    U"是非常喜欢歡爱愛漂亮可爱美丽麗温溫柔冷酷热熱闹鬧安静靜孤独獨幸福快乐悲伤忧憂郁鬱神秘祕梦夢幻"
    U"奇古典现代传统未来科技机械朋克蒸汽赛賽博";
constexpr std::u32string_view kJapanese =
    U"気楽発図画広帰実対読売県団学会国語話書見行来食飲買言思知使作持待立歩走止終始開閉入出帰乗降着"
    U"脱寝起遊泳働休習勉強教室先生徒友達母父兄姉弟妹子供"
    U"少女男性女性青年髪目瞳顔口耳鼻首肩腕手足胸腰腹背尻服着物浴衣制帽靴下袖襟帯飾眼鏡傘鞄剣刀銃弓"
    U"魔術師騎士姫王女神天使悪竜龍猫犬兎狐狼鳥魚馬牛花桜"
    U"紅葉森林山川海岸浜辺島空雲雨雪風雷虹星月太陽朝昼夕夜春夏秋冬光影赤青黄緑紫黒白茶色金銀桃橙灰"
    U"透明背景正面横向後斜上半身全身立座笑泣怒照驚悲"
    U"嬉楽恥可愛美麗綺元気静鉄駅電車道橋街都市町村家部屋窓扉机椅床壁畳庭園寺城塔学校教会図館店屋祭"
    U"花火初詣温泉風呂料理飯麺肉野菜果物酒茶菓飴";

consteval auto sorted_table() {
    std::array<char32_t, kEveryday.size() + kCaptions.size() + kJapanese.size()> table{};
    size_t filled = 0;
    for (const std::u32string_view part : {kEveryday, kCaptions, kJapanese}) {
        for (const char32_t c : part) table[filled++] = c;
    }
    std::sort(table.begin(), table.end());
    return table;
}

constexpr auto kTable = sorted_table();

}  // namespace

bool is_common_han(char32_t c) { return std::binary_search(kTable.begin(), kTable.end(), c); }

}  // namespace lora::detail
